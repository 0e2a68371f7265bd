"""Gaussians in, an image out: one protocol, our own kernels on the CPU, gsplat on CUDA."""
