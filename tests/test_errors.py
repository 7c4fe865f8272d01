"""Errors on their way from one process to another."""

import pickle

import pytest

from mnist_pipeline import errors
from mnist_pipeline.errors import MissingExtraError, PipelineError
from mnist_pipeline.imaging.errors import ImageError

OF_ONE_LINE = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind is not MissingExtraError]
RAISED = [
    *(kind("model.onnx is missing; export it again") for kind in OF_ONE_LINE),
    MissingExtraError("writing Parquet", "parquet"),
    ImageError("truncated", "ends after 12 of 340 bytes", (12, 1_700_000_000)),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_in_another_process(error: Exception) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))
    if isinstance(error, PipelineError):
        assert found.exit_code == error.exit_code


def test_a_missing_extra_says_what_needs_it_and_how_to_get_it() -> None:
    assert str(MissingExtraError("writing Parquet", "parquet")) == (
        "writing Parquet needs the 'parquet' extra; install it with: pip install 'mnist-pipeline[parquet]'"
    )
