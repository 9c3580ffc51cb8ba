"""Progressive automation: accuracy, then coverage, then scale, and what says when to move on."""
