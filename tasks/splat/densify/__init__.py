"""Strategies of densification: Gaussians that are added, moved or removed during a training."""
