"""The command ``mnist-pipeline``, also as ``python -m mnist_pipeline``."""

import os
import sys

from mnist_pipeline.errors import INTERRUPTED, StoppedError


def main() -> None:
    """Run the command line."""
    try:
        if sys.argv[1:2] == ["score"]:
            from mnist_pipeline.scoring.workers.start import start_forkserver

            start_forkserver()  # what workers need takes as long to load as all of the command line
        from mnist_pipeline.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write(f"error: {INTERRUPTED}\n")
        sys.exit(StoppedError.exit_code)
    try:
        run()
    except SystemExit as ended:
        if sys.argv[1:2] == ["classify"] and isinstance(ended.code, int):
            # It has started nothing that must be tidied up, and said all that it had to say. To take down its
            # libraries one by one would take as long as to classify two hundred images.
            os._exit(ended.code)
        raise


if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))  # the current folder, where Python has put it first, must hide nothing
    main()
