"""Depth maps of the training photos, and points to start a splat from."""
