"""What a worker that outlives its job can and cannot do."""

import numpy as np
import pytest

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.records import ROW, Limits, Location, ScoringSettings
from mnist_pipeline.scoring.results import ShardResults, read_results, write_results
from mnist_pipeline.scoring.shards import cut, key_base, read_shards, shard_names, split
from mnist_pipeline.scoring.sources.listing import SortedNames

NAMES = [f"{number:04d}.png".encode() for number in range(200)]


@pytest.fixture
def settings(tmp_path):
    return ScoringSettings(
        location=Location(kind="folder", root=str(tmp_path)),
        model=tmp_path / "model.onnx",
        model_sha256="0" * 64,
        device="cpu",
        preprocess="auto",
        preprocessing_version="1",
        limits=Limits(pixels=1_000, bytes=1_000, seconds=1),
    )


@pytest.fixture
def outputs(tmp_path):
    found = Outputs(tmp_path / "out.csv")
    found.results.mkdir(parents=True)
    return found


@pytest.fixture
def base(settings):
    return key_base(settings)


def listed(names: list[bytes]) -> SortedNames:
    return SortedNames(len(names), (), tuple(names))


@pytest.fixture
def whole(settings, outputs):
    return cut(listed(NAMES), outputs, settings, 16, lambda _: 300)


@pytest.fixture
def shards(whole, outputs):
    return list(read_shards(outputs, whole))


def test_the_shards_hold_every_name_once(shards, outputs, base):
    assert [name for shard in shards for name in shard_names(shard, outputs, base)] == NAMES


def images_of(settings, outputs, sizes: list[int]) -> list[int]:
    """How many images each shard holds of files with these sizes."""
    names = [f"{number:07d}".encode() for number in range(len(sizes))]
    whole = cut(listed(names), outputs, settings, 1_024, lambda name: sizes[int(name)])
    assert whole.images == len(sizes)
    return [shard.images for shard in read_shards(outputs, whole)]


def test_a_few_photographs_are_as_many_shards_and_a_few_thousand_small_images_some_dozens(settings, outputs):
    assert images_of(settings, outputs, [2_000_000] * 20) == [1] * 20
    assert max(images_of(settings, outputs, [2_000_000] * 120)) <= 4
    assert 10 <= len(images_of(settings, outputs, [300] * 4_000)) <= 64


def test_photographs_between_small_images_get_shards_of_their_own_size(settings, outputs):
    sizes = [300] * 10_000 + [2_000_000] * 400 + [300] * 10_000
    images = images_of(settings, outputs, sizes)
    ends = np.cumsum(images)
    among = [count for count, end in zip(images, ends, strict=True) if 10_100 < end <= 10_400]
    assert max(among) <= 8
    assert max(images) >= 500
    work = [sum(sizes[end - count : end]) for count, end in zip(images, ends, strict=True)]
    assert max(work) <= 30_000_000


def test_other_files_move_no_shard_but_those_around_them(settings, outputs):
    names = [f"{number:07d}".encode() for number in range(20_000)]

    def keys(chosen: list[bytes]) -> set[str]:
        whole = cut(listed(chosen), outputs, settings, 256, lambda name: 300 + 40 * int(name[-2:]))
        return {shard.key for shard in read_shards(outputs, whole)}

    before, after = keys(names), keys(names[:9_000] + names[9_010:])
    assert len(before) > 50
    assert len(before - after) <= 4


def test_ranges_hold_every_shard_once_and_enough_images_each(whole, shards, outputs):
    ranges = split(outputs, whole, 50)
    assert [shard for some in ranges for shard in read_shards(outputs, some)] == shards
    assert [some.images for some in ranges] == [
        sum(shard.images for shard in read_shards(outputs, some)) for some in ranges
    ]
    assert len(ranges) >= 3
    assert all(some.images >= 50 for some in ranges[:-1])


@pytest.mark.parametrize("kept", [0, 10, 500, -1])
def test_a_listing_that_the_next_job_is_writing_is_no_listing_of_this_one(shards, outputs, base, kept):
    """The rows of fewer images would pass for the rows of all."""
    listing = outputs.listing
    listing.write_bytes(listing.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match="was written anew by a later job"):
        shard_names(shards[-1], outputs, base)


def test_a_listing_of_the_next_job_is_no_listing_of_this_one(shards, outputs, base):
    listing = outputs.listing
    listing.write_bytes(listing.read_bytes().replace(b".png", b".jpg"))
    with pytest.raises(IntegrityError, match="was written anew by a later job"):
        shard_names(shards[0], outputs, base)


def test_the_shards_of_the_next_job_that_are_not_all_there_are_none_of_this_one(whole, outputs):
    outputs.shards.write_bytes(outputs.shards.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="was written anew by a later job"):
        list(read_shards(outputs, whole))


def test_the_rows_of_some_images_are_not_the_rows_of_the_shard(shards, outputs, base):
    path, names = outputs.results_of(shards[0]), tuple(shard_names(shards[0], outputs, base))
    write_results(path, ShardResults(names[:-1], np.zeros(len(names) - 1, ROW)))
    assert read_results(path, shards[0].images) is None
    write_results(path, ShardResults(names, np.zeros(len(names), ROW)))
    assert read_results(path, shards[0].images).names == names
