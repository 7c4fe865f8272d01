"""Bytes on disk and in object stores: digests, and writes that are whole or did not happen."""

from mnist_pipeline.files.atomic import (
    canonical_json,
    decode_text,
    open_atomic,
    read_json,
    render_json,
    sha256_bytes,
    sha256_file,
    sync_directory,
    write_bytes,
    write_json,
    write_text,
)
from mnist_pipeline.files.names import leftovers, printable, sibling, temporary_sibling

__all__ = [
    "canonical_json",
    "decode_text",
    "leftovers",
    "open_atomic",
    "printable",
    "read_json",
    "render_json",
    "sha256_bytes",
    "sha256_file",
    "sibling",
    "sync_directory",
    "temporary_sibling",
    "write_bytes",
    "write_json",
    "write_text",
]
