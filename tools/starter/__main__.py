"""`python -m tools.starter`: trains, measures and exports the starter on a pretrained trunk."""

import os
import sys

from sam_backend.cli.process_setup import ALLOCATOR_TUNING

if __name__ == "__main__" and not ALLOCATOR_TUNING.keys() & os.environ.keys():
    arguments = [sys.executable, "-m", "tools.starter", *sys.argv[1:]]
    os.execve(sys.executable, arguments, os.environ | ALLOCATOR_TUNING)

from tools.starter.commands import app

if __name__ == "__main__":
    app()
