"""The command ``mnist-pipeline``, also as ``python -m mnist_pipeline``."""

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))  # the current folder, where Python has put it first, must hide nothing

from mnist_pipeline.cli.process import end_as_interrupted
from mnist_pipeline.cli.streams import secure_standard_streams
from mnist_pipeline.errors import INTERRUPTED, StoppedError


def main() -> None:
    """Run the command line."""
    secure_standard_streams()
    end_as_interrupted()
    try:
        if sys.argv[1:2] == ["score"]:
            from mnist_pipeline.scoring.workers.start import start_forkserver

            start_forkserver()  # what workers need takes as long to load as all of the command line
        from mnist_pipeline.cli.app import app
    except KeyboardInterrupt:
        sys.stderr.write(f"error: {INTERRUPTED}\n")
        sys.exit(StoppedError.exit_code)
    try:
        app()
    except SystemExit as ended:
        if sys.argv[1:2] == ["classify"] and isinstance(ended.code, int):
            # It has started nothing that must be tidied up, and said all that it had to say. To take down its
            # libraries one by one would take as long as to classify two hundred images.
            os._exit(ended.code)
        raise


if __name__ == "__main__":
    main()
