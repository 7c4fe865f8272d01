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
    temporary_sibling,
    write_bytes,
    write_json,
    write_text,
)

__all__ = [
    "canonical_json",
    "decode_text",
    "open_atomic",
    "read_json",
    "render_json",
    "sha256_bytes",
    "sha256_file",
    "sync_directory",
    "temporary_sibling",
    "write_bytes",
    "write_json",
    "write_text",
]
