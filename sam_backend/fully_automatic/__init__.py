"""Stage 3: masks of a whole folder or bucket, imported in bulk and verified by sampling."""
