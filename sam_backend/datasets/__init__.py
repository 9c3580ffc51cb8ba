"""Images with masks that people (or scenes) gave: what the engine trains on and judges by."""
