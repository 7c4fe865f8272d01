"""What native libraries write to stderr while they are loaded, kept from the user's terminal."""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

# What TensorFlow, XLA and absl write before a log level can reach them.
NOISE = re.compile(
    rb"^(WARNING: All log messages before absl|[IWE]\d{4} |\d{4}-\d\d-\d\d \S+ [IWE] |To enable the following)"
)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what native code writes to stderr inside the block; pass on all that is no known noise."""
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(terminal, 2)
                held.seek(0)
                _pass_on(held.read().splitlines(keepends=True))
    finally:
        os.close(terminal)


def _pass_on(lines: list[bytes]) -> None:
    for line in lines:
        if NOISE.match(line):
            logger.debug("%s", line.decode(errors="replace").rstrip())
        else:
            os.write(2, line)
