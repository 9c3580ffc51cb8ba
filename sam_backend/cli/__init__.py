"""Commands: each a few lines over one library call."""
