"""A config out of range is a usage error before any work, naming the field and what is allowed."""

import math
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.config import PRESETS, PipelineConfig, parse_config
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
def test_a_training_field_out_of_range_is_named(field_and_value):
    field, value = field_and_value
    with pytest.raises(UsageError) as caught:
        parse_config(PipelineConfig, {"training": {field: value}})
    assert str(caught.value).startswith(f"training.{field}: ")
    assert "\n" not in str(caught.value)


GATE = ["min_accuracy", "min_class_accuracy", "champion_margin", "max_calibration_error", "significance"]


@given(st.sampled_from(GATE), not_finite | st.floats(min_value=1.001, allow_nan=False) | st.floats(max_value=-0.001))
def test_a_threshold_that_is_no_share_is_refused(field, value):
    with pytest.raises(UsageError, match=rf"^publishing\.gate\.{field}: "):
        parse_config(PipelineConfig, {"publishing": {"gate": {field: value}}})


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
def test_nothing_is_touched_before_the_config_is_right(arguments, monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2, result.stderr
        assert list(Path(folder).iterdir()) == []
        monkeypatch.undo()


TOML = "[training]\nepochs = 0\n"
SAID = "training.epochs: Input should be greater than or equal to 1, found 0"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_config_is_read_in_the_encodings_that_editors_write(encoding, tmp_path):
    file = tmp_path / "run.toml"
    file.write_bytes(TOML.encode(encoding))
    result = CliRunner().invoke(app, ["train", "--config", str(file)])
    assert (result.exit_code, result.stderr) == (2, f"error: {SAID}\n")


NOT_TOML = {
    "latin": (b'[fetch]\nsource = "caf\xe9"\n', "is not a TOML file: 'utf-8' codec can't decode byte 0xe9"),
    "syntax": (
        b"[training\n",
        "is not a TOML file: Expected ']' at the end of a table declaration (at line 1, column 10)",
    ),
    "deep": (b"a = " + b"[" * 100_000, "is not a TOML file: maximum recursion depth exceeded"),
    "random": (bytes(range(255, 0, -1)), "is not a TOML file: "),
}


@pytest.mark.parametrize("name", NOT_TOML)
@pytest.mark.parametrize("option", [["train", "--config"], ["fetch", "--dataset"]], ids=" ".join)
def test_a_file_that_is_no_config_is_one_line_that_names_it(name, option, tmp_path):
    content, says = NOT_TOML[name]
    file = tmp_path / f"{name}.toml"
    file.write_bytes(content)
    result = CliRunner().invoke(app, [*option, str(file)])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"{file} {says}" in result.stderr


@pytest.mark.parametrize("option", [["train", "--config"], ["fetch", "--dataset"]], ids=" ".join)
def test_a_folder_in_the_place_of_a_config_is_one_line_that_names_it(option, tmp_path):
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    result = CliRunner().invoke(app, [*option, str(folder)])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert str(folder) in result.stderr
    assert "irectory" in result.stderr


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "[" * 100_000])
@pytest.mark.parametrize("command", ["export", "evaluate", "publish", "report"])
def test_a_damaged_file_of_a_run_is_named_and_no_bug(command, content, small_workspace, tmp_path):
    workspace = tmp_path / "workspace"
    shutil.copytree(small_workspace.root / "runs", workspace / "runs")
    damaged = workspace / "runs" / small_workspace.run / "config.json"
    damaged.write_text(content)
    result = CliRunner().invoke(app, [command, "--workspace", str(workspace)])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"error: {damaged} is damaged (")
