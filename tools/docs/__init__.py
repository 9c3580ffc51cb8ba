"""Documentation: pages generated from the code, and the static site of `docs/`."""
