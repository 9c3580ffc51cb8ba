"""What makes the files that ship, and is not shipped itself."""
