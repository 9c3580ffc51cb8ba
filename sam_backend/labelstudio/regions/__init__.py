"""Masks as Label Studio's regions and back: one file a tag, one line in `codec`."""
