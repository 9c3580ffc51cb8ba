"""Stage 1: people prompt, the model answers with masks."""
