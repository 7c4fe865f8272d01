"""FAULTS 35: a config out of range is a usage error before any work, naming the field and what is allowed."""

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mnist_pipeline.cli import app
from mnist_pipeline.config import PRESETS, build_config
from mnist_pipeline.errors import UsageError

below_one = st.integers(max_value=0)
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])
BAD = st.one_of(
    st.tuples(st.sampled_from(["epochs", "batch_size", "train_rows", "max_batches"]), below_one),
    st.tuples(st.just("validation_rows"), st.integers(max_value=-1)),
    st.tuples(st.just("learning_rate"), not_finite | st.floats(max_value=0, allow_nan=False)),
    st.tuples(st.just("label_smoothing"), not_finite | st.floats(min_value=1, allow_nan=False)),
    st.tuples(st.just("seed"), st.integers(max_value=-1) | st.integers(min_value=2**31)),
    st.tuples(st.just("optimizer"), st.text().filter(lambda text: text not in {"adam", "sgd", "rmsprop", "muon"})),
    st.tuples(st.just("preset"), st.text().filter(lambda text: text not in PRESETS)),
    st.tuples(st.text("abcdefgh", min_size=1, max_size=5), st.integers()),
)


@given(BAD)
def test_35_a_training_field_out_of_range_is_named(field_and_value):
    field, value = field_and_value
    with pytest.raises(UsageError) as caught:
        build_config({"training": {field: value}})
    assert str(caught.value).startswith(f"training.{field}: ")
    assert "\n" not in str(caught.value)


GATE = ["min_accuracy", "min_class_accuracy", "champion_margin", "max_calibration_error", "significance"]


@given(st.sampled_from(GATE), not_finite | st.floats(min_value=1.001, allow_nan=False) | st.floats(max_value=-0.001))
def test_35_a_threshold_that_is_no_share_is_refused(field, value):
    with pytest.raises(UsageError, match=rf"^publishing\.gate\.{field}: "):
        build_config({"publishing": {"gate": {field: value}}})


@pytest.mark.parametrize(
    "arguments",
    [
        ["run-all", "--epochs", "0"],
        ["run-all", "--batch-size", "-1"],
        ["run-all", "--preset", "best"],
        ["run-all", "--set", "publishing.gate.min_accuracy=nan"],
        ["train", "--learning-rate", "0"],
        ["score", "folder", "--output", "out.csv", "--min-confidence", "1.5"],
        ["score", "folder", "--output", "out.csv", "--workers", "0"],
    ],
)
def test_35_nothing_is_touched_before_the_config_is_right(arguments, monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2, result.stderr
        assert list(Path(folder).iterdir()) == []
        monkeypatch.undo()
