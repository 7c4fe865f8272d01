"""The standard streams of the process, whatever the shell has connected to them."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

STDIN, STDOUT, STDERR = range(3)


def secure_standard_streams() -> None:
    """Make writing to standard output and error safe for everybody in this process and its children.

    A stream that was closed stays so for its user, but its number is taken: else the next file that is opened
    would get it, and what is printed would land in that file. What has no reader any more is dropped, as is what
    standard error cannot take: a command does its work, and ends as its work ends, whoever listens. Characters
    that the encoding lacks are written as escapes.
    """
    _fill_closed()
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_ClosedInput(STDIN, closefd=False)), "utf-8")
    sys.stdout = _safe(sys.stdout, STDOUT)
    sys.stderr = _safe(sys.stderr, STDERR)


def _fill_closed() -> None:
    """Open the null device where a standard stream is closed: it takes all that is written, and refuses to be read."""
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_WRONLY), True)  # gets the lowest free number: this one


def _safe(stream: TextIO | None, number: int) -> TextIO:
    if isinstance(stream, io.TextIOWrapper) and stream.isatty():
        stream.reconfigure(errors="backslashreplace")
        return stream  # it has a reader and no limit, and on Windows a way of its own
    raw = io.BufferedWriter(_Output(number, "wb", closefd=False))
    encoding = stream.encoding if stream else "utf-8"
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=number == STDERR)


class _ClosedInput(io.FileIO):
    """Standard input where it is closed."""

    def readinto(self, _: "WriteableBuffer", /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard input")

    def readall(self) -> bytes:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard input")


class _Output(io.FileIO):
    """Standard output or error where it is a file or a pipe."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write the bytes.

        Raises:
            OSError: standard output cannot take them, because its disk is full, say; once.
        """
        try:
            return super().write(data)
        except OSError as error:
            self._give_up()
            if isinstance(error, BrokenPipeError) or self.fileno() == STDERR:
                return memoryview(data).nbytes
            raise OSError(error.errno, error.strerror, "standard output") from None

    def _give_up(self) -> None:
        """From now on write to nowhere; so does Python, which flushes once more when it ends."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)
