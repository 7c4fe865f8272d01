"""``python -m mnist_pipeline`` is the command ``mnist-pipeline``."""

import sys

if not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))  # the current folder, where Python has put it first, must hide nothing

from mnist_pipeline.cli import main

main()
