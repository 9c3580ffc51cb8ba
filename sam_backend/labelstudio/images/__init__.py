"""From a task's image value to the image's bytes, by guarded requests."""
