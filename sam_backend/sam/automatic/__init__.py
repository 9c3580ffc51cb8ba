"""Masks of a whole image without a prompt: grids of points, filters, non-maximum suppression."""
