"""Strategies of densification: which Gaussians multiply, move or go while a splat is fitted."""
