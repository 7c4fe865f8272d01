"""Where a sprite's two files may lie: what ``--source`` and descriptions name. Pure."""

import os
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import url2pathname

from mnist_pipeline.data.description import is_directory_source
from mnist_pipeline.errors import UsageError
from mnist_pipeline.network import check_url, public_url

KINDS = "give an http(s), file or s3 URL of a folder, or a directory"


def local_folder(source: str) -> Path | None:
    """The folder that ``source`` names by its path or a file URL; None for one on a server (http, https, s3).

    Raises:
        UsageError: it names none of these; passwords are not shown.
    """
    if is_directory_source(source):
        return _folder(source, source)
    try:
        if source.startswith("file:"):
            return _folder(_path_of(source), source)
        check_url(source.replace(" ", "%20"), ("http", "https", "s3"))
    except ValueError as error:
        raise UsageError(f"--source {public_url(source)} cannot be read: {error}; {KINDS}") from None
    return None


def _path_of(url: str) -> str:
    if urlsplit(url).netloc not in {"", "localhost"}:
        raise ValueError("it is a file of another machine")
    return url2pathname(urlsplit(url).path)


def _folder(path: str, source: str) -> Path:
    if not path.strip() or "\0" in path:
        raise UsageError(f"--source {source!r} names no folder; {KINDS}")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"--source {source}: there is no such user, or no home folder; write the whole path") from None


def absolute_source(source: str) -> str:
    """A source that means the same in every folder: a directory with its whole path, a URL as it is."""
    path = os.path.expanduser(source)  # noqa: PTH111 - where there is no such user, it stays
    if not source.strip() or path.startswith("~") or not is_directory_source(source):
        return source
    return os.path.abspath(path)  # noqa: PTH100 - links stay links


def file_url(base: str, name: str) -> str:
    """URL of a file in the folder ``base``, whose query is kept."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}", fragment=""))


def show_source(source: str) -> str:
    """A source as it may be shown: without user name, password and query."""
    return source if is_directory_source(source) else public_url(source)
