"""Versions of annotations: what was seen, what differs, how it is taken out and put back."""
