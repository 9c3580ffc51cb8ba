"""A lot is proven by a sample of its images, which people correct."""
