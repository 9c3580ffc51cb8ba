"""The command line of `sam-backend`, for processes that start it anew."""

import sys

PROGRAM = (sys.executable, "-P", "-m", "sam_backend.cli.main")
"""The program of this installation, to be followed by its arguments.

Without `-P`, `python -m` looks for modules in the current folder first: somebody's `torch.py` or
`sam_backend/` there would run instead of ours (Python 3.11, "Safe path").
"""
