"""What is kept: checkpoints, revisions, datasets, shards."""
