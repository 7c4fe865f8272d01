"""What a worker that outlives its job can and cannot do."""

from dataclasses import replace

import numpy as np
import pytest

from mnist_pipeline.errors import IntegrityError
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.results import ROW, ShardResults, read_results, write_results
from mnist_pipeline.scoring.shards import cut, read_shards, shard_names, split
from mnist_pipeline.scoring.sources.listing import SortedNames
from mnist_pipeline.scoring.sources.reading import Location

NAMES = [f"{number:04d}.png".encode() for number in range(200)]


@pytest.fixture
def job(tmp_path):
    source, model = Location(kind="folder", root=str(tmp_path)), ScoringModel(tmp_path / "model.onnx", "0" * 64)
    found = ScoringJob.of(ScoreConfig(shard_images=16), source, model, tmp_path / "out.csv")
    found.outputs.results.mkdir(parents=True)
    return found


@pytest.fixture
def outputs(job):
    return job.outputs


def listed(names: list[bytes]) -> SortedNames:
    return SortedNames(len(names), (), tuple(names))


@pytest.fixture
def whole(job):
    return cut(listed(NAMES), job, lambda _: 300)


@pytest.fixture
def shards(whole, outputs):
    return list(read_shards(outputs, whole))


def test_the_shards_hold_every_name_once(shards, job):
    assert [name for shard in shards for name in shard_names(shard, job)] == NAMES


def of_at_most(images: int, job: ScoringJob) -> ScoringJob:
    """The job with so many images a shard."""
    return replace(job, config=job.config.model_copy(update={"shard_images": images}))


def images_of(job: ScoringJob, sizes: list[int]) -> list[int]:
    """How many images each shard holds of files with these sizes."""
    names = [f"{number:07d}".encode() for number in range(len(sizes))]
    whole = cut(listed(names), of_at_most(1_024, job), lambda name: sizes[int(name)])
    assert whole.images == len(sizes)
    return [shard.images for shard in read_shards(job.outputs, whole)]


def test_a_few_photographs_are_as_many_shards_and_a_few_thousand_small_images_some_dozens(job):
    assert images_of(job, [2_000_000] * 20) == [1] * 20
    assert max(images_of(job, [2_000_000] * 120)) <= 4
    assert 10 <= len(images_of(job, [300] * 4_000)) <= 64


def test_photographs_between_small_images_get_shards_of_their_own_size(job):
    sizes = [300] * 10_000 + [2_000_000] * 400 + [300] * 10_000
    images = images_of(job, sizes)
    ends = np.cumsum(images)
    among = [count for count, end in zip(images, ends, strict=True) if 10_100 < end <= 10_400]
    assert max(among) <= 8
    assert max(images) >= 500
    work = [sum(sizes[end - count : end]) for count, end in zip(images, ends, strict=True)]
    assert max(work) <= 30_000_000


def test_other_files_move_no_shard_but_those_around_them(job):
    names = [f"{number:07d}".encode() for number in range(20_000)]

    def keys(chosen: list[bytes]) -> set[str]:
        whole = cut(listed(chosen), of_at_most(256, job), lambda name: 300 + 40 * int(name[-2:]))
        return {shard.key for shard in read_shards(job.outputs, whole)}

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
def test_a_listing_that_the_next_job_is_writing_is_no_listing_of_this_one(shards, job, kept):
    """The rows of fewer images would pass for the rows of all."""
    listing = job.outputs.listing
    listing.write_bytes(listing.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match="was written anew by a later job"):
        shard_names(shards[-1], job)


def test_a_listing_of_the_next_job_is_no_listing_of_this_one(shards, job):
    listing = job.outputs.listing
    listing.write_bytes(listing.read_bytes().replace(b".png", b".jpg"))
    with pytest.raises(IntegrityError, match="was written anew by a later job"):
        shard_names(shards[0], job)


def test_the_shards_of_the_next_job_that_are_not_all_there_are_none_of_this_one(whole, outputs):
    outputs.shards.write_bytes(outputs.shards.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match="was written anew by a later job"):
        list(read_shards(outputs, whole))


def test_the_rows_of_some_images_are_not_the_rows_of_the_shard(shards, job):
    path, names = job.outputs.results_of(shards[0]), tuple(shard_names(shards[0], job))
    write_results(path, ShardResults(names[:-1], np.zeros(len(names) - 1, ROW)))
    assert read_results(path, shards[0].images) is None
    write_results(path, ShardResults(names, np.zeros(len(names), ROW)))
    assert read_results(path, shards[0].images).names == names


def test_a_configuration_that_was_stored_has_the_same_key_and_another_limit_has_another(job):
    stored = replace(job, config=ScoreConfig.model_validate_json(job.config.model_dump_json()))
    assert stored.key == job.key
    for field, value in (("image_seconds", 121), ("max_megapixels", 1), ("max_megabytes", 1), ("device", "cpu")):
        assert replace(job, config=job.config.model_copy(update={field: value})).key != job.key
    more = job.config.model_copy(update={"workers": 3, "min_confidence": 0.5, "probabilities": True})
    assert replace(job, config=more).key == job.key
