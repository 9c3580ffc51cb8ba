"""Model families whose networks the transformers library has: one file each."""
