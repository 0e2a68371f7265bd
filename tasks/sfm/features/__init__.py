"""Features of photos and matches between them, by networks: ALIKED and LightGlue."""
