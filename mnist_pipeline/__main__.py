"""``python -m mnist_pipeline`` is the command ``mnist-pipeline``."""

from mnist_pipeline.cli import main

main()
