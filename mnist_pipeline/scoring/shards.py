"""A sorted listing cut into shards whose keys say what their rows depend on.

A shard holds about as much work as any other, by the bytes of its images, so that no core is still busy when the
others are done. Where it ends is decided by the names themselves, as in content-defined chunking (Muthitacharoen, Chen
and Mazieres, SOSP 2001): when files come or go, only the shards around them change, all others keep their keys.

    listing    every name, followed by a NUL
    shards     where each shard's names are in the listing, how many they are, and its key
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple
from zlib import crc32

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.schema import Record
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.sources.listing import END, SortedNames

LEAST = 0.25
"""Of the average: a shard holds no less work, but for the last."""
MOST = 4
"""Times the average: a shard holds no more."""
IMAGE_SECONDS, BYTE_SECONDS = 4e-5, 3e-8
"""What an image costs about, on one core of a common machine: 28x28 PNG files, and JPEG files of 12 megapixels."""
SHARD_SECONDS = 0.1
"""Work in a shard, on average, of a job that is large enough."""
SHARDS = 64
"""A smaller job is cut into so many shards."""
SHORTEST_SECONDS = 0.005
"""Work in the shortest of these, on average: less is not worth the way to a worker and back."""
SAMPLED = 4_096
"""Of more images than these, every `SAMPLE`-th is looked at, and the next ones count as if they were as large."""
SAMPLE = 16
ENTRY = struct.Struct("<QII32s")
"""A shard on disk: offset, bytes and images of its names, and its key."""


class Shard(NamedTuple):
    """A run of consecutive names of a listing.

    Attributes:
        number: its place among the shards.
        offset: first byte of its names in the listing.
        length: bytes of them.
        images: how many names they are.
        key: hex digest of the names and of the job's key: equal keys, equal rows, as long as no image changes.
    """

    number: int
    offset: int
    length: int
    images: int
    key: str


class ShardRange(Record):
    """Consecutive shards of a job: what one task scores. It holds where they are, not the names."""

    first: int
    count: int
    images: int
    """In all of them."""


def cut(names: SortedNames, job: ScoringJob, size_of: Callable[[bytes], int]) -> ShardRange:
    """Write the listing and its shards.

    Args:
        names: of all images.
        job: whose.
        size_of: bytes of an image, without reading it; 0 where it does not exist.

    Returns:
        All of them.
    """
    key, offset, images, count = job.key, 0, 0, 0
    with job.outputs.listing.open("wb") as listing, job.outputs.shards.open("wb") as shards:
        for members in _groups(names, job.config.shard_images, size_of):
            block = END.join(members) + END
            listing.write(block)
            shards.write(ENTRY.pack(offset, len(block), len(members), _key(key, block)))
            offset, images, count = offset + len(block), images + len(members), count + 1
    return ShardRange(first=0, count=count, images=images)


def split(outputs: Outputs, whole: ShardRange, images: int) -> list[ShardRange]:
    """Runs of consecutive shards with at least so many images each, but for the last."""
    found: list[ShardRange] = []
    first, held = whole.first, 0
    for shard in read_shards(outputs, whole):
        held += shard.images
        if held >= images:
            found.append(ShardRange(first=first, count=shard.number + 1 - first, images=held))
            first, held = shard.number + 1, 0
    if held:
        found.append(ShardRange(first=first, count=whole.first + whole.count - first, images=held))
    return found


def read_shards(outputs: Outputs, wanted: ShardRange) -> Iterator[Shard]:
    """The shards of a range, in order.

    Raises:
        IntegrityError: they are not all there.
    """
    with outputs.shards.open("rb") as file:
        file.seek(wanted.first * ENTRY.size)
        for number in range(wanted.first, wanted.first + wanted.count):
            entry = file.read(ENTRY.size)
            if len(entry) != ENTRY.size:
                raise _written_anew(file.name)
            offset, length, images, key = ENTRY.unpack(entry)
            yield Shard(number, offset, length, images, key.hex())


def _groups(names: SortedNames, shard_images: int, size_of: Callable[[bytes], int]) -> Iterator[list[bytes]]:
    average, sample = SHARD_SECONDS, SAMPLE
    if names.count <= SAMPLED:
        sizes = {name: size_of(name) for name in names}
        average = min(max(sum(map(_seconds, sizes.values())) / SHARDS, SHORTEST_SECONDS), SHARD_SECONDS)
        sample, size_of = 1, sizes.__getitem__
    group: list[bytes] = []
    held = share = chance = 0.0
    for name in names:
        mixed = crc32(name)
        if not share or mixed % sample == 0:
            share = max(_seconds(size_of(name)) / average, 1 / shard_images)
            chance = share / (1 - LEAST) * 2**32
        group.append(name)
        held += share
        if held >= LEAST and (mixed < chance or held >= MOST):
            yield group
            group, held = [], 0.0
    if group:
        yield group


def _seconds(size: int) -> float:
    return IMAGE_SECONDS + BYTE_SECONDS * size


def _key(job_key: str, block: bytes) -> bytes:
    return hashlib.sha256(job_key.encode() + block).digest()


def shard_names(shard: Shard, job: ScoringJob) -> list[bytes]:
    """The names of a shard, read from the job's listing.

    Raises:
        IntegrityError: they are not those of the shard. A worker that outlives its job, on a machine that nobody
            could reach, meets a listing that the next job has written or is writing.
    """
    listing = job.outputs.listing
    with listing.open("rb") as file:
        file.seek(shard.offset)
        block = file.read(shard.length)
    if _key(job.key, block).hex() != shard.key:
        raise _written_anew(str(listing))
    return block.split(END)[:-1]


def _written_anew(path: str) -> IntegrityError:
    return IntegrityError(f"{path} was written anew by a later job, which scores these images")
