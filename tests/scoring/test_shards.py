"""What a worker that outlives its job can and cannot do."""

import numpy as np
import pytest

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.scoring.outputs import Outputs
from mnist_pipeline.scoring.records import ROW, Limits, Location, ScoringSettings
from mnist_pipeline.scoring.results import ShardResults, read_results, write_results
from mnist_pipeline.scoring.shards import cut, key_base, read_shards, shard_names, split

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


@pytest.fixture
def whole(settings, outputs):
    return cut(NAMES, outputs, settings, 16)


@pytest.fixture
def shards(whole, outputs):
    return list(read_shards(outputs, whole))


def test_the_shards_hold_every_name_once(shards, outputs, base):
    assert [name for shard in shards for name in shard_names(shard, outputs, base)] == NAMES


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
