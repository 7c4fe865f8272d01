"""Reports and the disk: a run as other rooms left it, read and drawn."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mnist_pipeline.cli.app import app
from mnist_pipeline.config import DEFAULT_PRESET, PipelineConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import IntegrityError, UsageError
from mnist_pipeline.files import read_json, sha256_file, write_bytes, write_json
from mnist_pipeline.inference import ModelMetadata
from mnist_pipeline.reporting.files import load_report_inputs, write_comparison, write_report
from mnist_pipeline.reporting.inputs import ReportInputs, shown_rows
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import RunDirectory, Workspace
from tests.support.reports import make_inputs, sample_evaluation

Make = Callable[..., ReportInputs]
FRAMEWORKS = {"keras": "3.15.1", "tf2onnx": "1.17.0"}


def model_file(sha_like: str) -> bytes:
    """An ONNX file that carries its metadata."""
    import onnx

    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [])
    model = onnx.helper.make_model(graph)
    metadata = ModelMetadata(
        class_names=tuple("0123456789"),
        dataset="digits",
        dataset_digest=sha_like,
        run_id="r",
        preset="codelab",
        frameworks=FRAMEWORKS,
    )
    onnx.helper.set_model_props(model, metadata.to_props())
    return model.SerializeToString()


@pytest.fixture
def run(tmp_path: Path, digits_dataset: FetchedDataset) -> RunDirectory:
    """A run with a real record on the embedded digits; its measurements are made up, its rows are real."""
    rows = digits_dataset.test_rows
    sample = sample_evaluation()
    evaluation = sample_evaluation(
        samples=rows,
        mistakes=[one.model_copy(update={"row": index * 3}) for index, one in enumerate(sample.mistakes)],
        examples=[(row * 7) % rows for row in range(20)],
        dataset="digits",
        dataset_digest=digits_dataset.digest,
    )
    made = make_inputs(evaluation=evaluation)
    assert made.comparison is not None
    assert made.verdict is not None
    comparison = made.comparison.model_copy(update={"fixed": [1, 2], "broken": [0, 3]})
    started = Run.start(Workspace(tmp_path), PipelineConfig())
    started.note("key", digits_dataset_inside(tmp_path, digits_dataset), 0.25, "cache")
    started.finish("promoted")
    directory = started.directory
    for path, record in (
        (directory.evaluation_json, evaluation),
        (directory.history, made.history.model_copy(update={"train_rows": 1_000, "config": {"validation_rows": 100}})),
        (directory.parity, made.parity),
        (directory.comparison, comparison),
        (directory.gate, made.verdict),
    ):
        write_json(path, record.model_dump(mode="json"))
    write_bytes(directory.model_onnx, model_file(digits_dataset.digest))
    return directory


def digits_dataset_inside(root: Path, dataset: FetchedDataset) -> FetchedDataset:
    """The handle as if the dataset lay in the workspace ``root``: a record names no other places."""
    return dataset.model_copy(update={"directory": root / "datasets" / "digits"})


def test_everything_is_read_back(run: RunDirectory, digits_dataset: FetchedDataset) -> None:
    inputs = load_report_inputs(run, digits_dataset.directory, model="digits", version="v1")
    dataset = Dataset.open(digits_dataset.directory)
    assert sorted(inputs.images) == shown_rows(inputs.evaluation, inputs.comparison)
    for row, image in inputs.images.items():
        assert type(image) is np.ndarray  # a copy: the memory map is closed
        assert np.array_equal(image, dataset.test.images[row])
        assert inputs.labels[row] == dataset.test.labels[row]
    assert {split: sum(counts) for split, counts in inputs.class_counts.items()} == {
        "train": 1_000,
        "validation": 100,
        "test": digits_dataset.test_rows,
    }
    facts = inputs.run
    assert (facts.run_id, facts.record.status, facts.model, facts.version) == (run.id, "promoted", "digits", "v1")
    assert [(name, step.seconds, step.reused_from) for name, step in facts.steps.items()] == [("fetch", 0.25, "cache")]
    assert facts.config["training"]["preset"] == DEFAULT_PRESET
    assert facts.environment == FRAMEWORKS
    assert facts.files["parity.json"] == sha256_file(run.parity)
    assert facts.source == dataset.card.source


def test_a_report_is_written_whole(run: RunDirectory, digits_dataset: FetchedDataset) -> None:
    before = set(run.path.iterdir())
    report = write_report(run, digits_dataset.directory, model="digits")
    written = {path.name for path in set(run.path.iterdir()) - before}
    charts = {f"{chart}.{kind}" for chart in CHARTS for kind in ("png", "svg")}
    assert written == report.keys() == {"report.html", "report.md", *charts}
    assert report == {name: sha256_file(run.path / name) for name in written}
    assert run.report_html.stat().st_size < 3_000_000
    assert f"<code>{sha256_file(run.gate)}</code>" in run.report_html.read_text(encoding="utf-8")
    with Image.open(run.path / "confusion_matrix.png") as image:
        image.verify()


CHARTS = ("learning_curves", "confusion_matrix", "reliability", "coverage", "test_digits")


@pytest.mark.usefixtures("undrawn")
def test_a_report_without_its_dataset_says_so(run: RunDirectory) -> None:
    write_report(run, None)
    assert run.report_md.read_text(encoding="utf-8").startswith("# Passed the gate")
    assert "The dataset is not at hand" in run.report_html.read_text(encoding="utf-8")


def test_what_a_run_lacks_is_absent(run: RunDirectory, digits_dataset: FetchedDataset) -> None:
    for path in (run.gate, run.comparison, run.record, run.config, run.model_onnx):
        path.unlink()
    inputs = load_report_inputs(run, digits_dataset.directory)
    assert (inputs.verdict, inputs.comparison, inputs.run.seconds, inputs.run.environment) == (None, None, None, {})
    assert inputs.images


def test_a_run_that_was_not_evaluated_has_no_report(run: RunDirectory, digits_dataset: FetchedDataset) -> None:
    run.evaluation_json.unlink()
    with pytest.raises(UsageError, match=r"evaluation.json is missing: only a run that was evaluated has a report"):
        load_report_inputs(run, digits_dataset.directory)


@pytest.mark.parametrize(
    ("name", "text"),
    [("evaluation.json", b"{"), ("history.json", b'{"layers": 1}'), ("gate.json", b""), ("model.onnx", b"\x08")],
)
def test_a_broken_file_is_named(run: RunDirectory, digits_dataset: FetchedDataset, name: str, text: bytes) -> None:
    (run.path / name).write_bytes(text)
    with pytest.raises(IntegrityError, match=rf"{name} is (broken|not a whole ONNX file)"):
        load_report_inputs(run, digits_dataset.directory)


def test_a_report_mixes_no_two_models(run: RunDirectory, digits_dataset: FetchedDataset) -> None:
    write_json(run.parity, read_json(run.parity) | {"model_sha256": "00" * 32})
    with pytest.raises(IntegrityError, match=r"about model 5f5f5f5f5f5f.*about 000000000000"):
        load_report_inputs(run, digits_dataset.directory)


def test_a_report_shows_no_images_of_another_dataset(run: RunDirectory, digits_dataset: FetchedDataset) -> None:
    write_json(run.evaluation_json, read_json(run.evaluation_json) | {"dataset_digest": "11" * 32})
    with pytest.raises(IntegrityError, match=r"was evaluated on digits 111111111111"):
        load_report_inputs(run, digits_dataset.directory)


@pytest.mark.usefixtures("undrawn")
def test_two_runs_are_set_side_by_side_with_their_images(
    run: RunDirectory, digits_dataset: FetchedDataset, tmp_path: Path
) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    other.path.mkdir()
    for path in (run.history, run.parity):
        write_bytes(other.path / path.name, path.read_bytes())
    evaluation = read_json(run.evaluation_json)
    write_json(other.evaluation_json, evaluation | {"mistakes": evaluation["mistakes"][:-2], "examples": []})
    path = write_comparison(run, other, tmp_path / "compared.html", (digits_dataset.directory,) * 2)
    page = path.read_text(encoding="utf-8")
    assert "Images wrong in A and right in B: 2." in page
    # The last, least confident mistakes: no report of either run alone shows them.
    for mistake in evaluation["mistakes"][-2:]:
        assert f'alt="Test row {mistake["row"]}"' in page


def test_drawing_loads_matplotlib_when_it_begins_and_neither_pyplot_nor_tensorflow(
    run: RunDirectory, digits_dataset: FetchedDataset
) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mnist_pipeline.reporting.files import write_report\n"
        "from mnist_pipeline.workspace import RunDirectory\n"
        "assert 'matplotlib' not in sys.modules\n"
        "write_report(RunDirectory(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "assert 'matplotlib' in sys.modules\n"
        "loaded = {'tensorflow', 'keras', 'prefect', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    arguments = [sys.executable, "-c", program, str(run.path), str(digits_dataset.directory)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert done.stderr == ""


def copy_of(run: RunDirectory, name: str) -> RunDirectory:
    """Another run of the same workspace, with one mistake less."""
    other = RunDirectory(run.path.with_name(name))
    shutil.copytree(run.path, other.path)
    write_json(other.record, read_json(run.record) | {"run_id": name})
    evaluation = read_json(run.evaluation_json)
    write_json(other.evaluation_json, evaluation | {"mistakes": evaluation["mistakes"][:-1]})
    return other


def report(workspace: Path, *arguments: str | Path) -> Result:
    command = ["report", *(str(part) for part in arguments), "--workspace", str(workspace)]
    return CliRunner().invoke(app, command)


@pytest.mark.usefixtures("undrawn")
def test_the_command_line_sets_two_runs_side_by_side(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = copy_of(run, "20000101T000000-abcdef")
    done = report(tmp_path, run.id, "--compare", other.id, "--output", "page.html", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"report": "page.html"}), done.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"<title>{run.id} and {other.id} side by side</title>" in page
    assert "Images wrong in A and right in B: 1." in page
    # Without a name the latest run is one of the two, and the page is named after both.
    done = report(tmp_path, "--compare", other.id)
    assert (done.exit_code, done.stdout.strip()) == (0, f"compare-{run.id}-{other.id}.html"), done.stderr
    assert (tmp_path / done.stdout.strip()).read_text(encoding="utf-8") == page


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_replaces_nothing_that_it_was_not_told_to(run: RunDirectory, tmp_path: Path) -> None:
    other = copy_of(run, "20000101T000000-abcdef")
    page = tmp_path / "thesis.html"
    page.write_text("mine", encoding="utf-8")
    refused = report(tmp_path, run.id, "--compare", other.id, "--output", page)
    assert refused.exit_code == 2
    assert refused.stderr == f"error: --output {page} exists; --overwrite replaces it\n"
    assert page.read_text(encoding="utf-8") == "mine"
    done = report(tmp_path, run.id, "--compare", other.id, "--output", page, "--overwrite")
    assert done.exit_code == 0, done.stderr
    assert "side by side" in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_be_compared_or_written_is_one_line(run: RunDirectory, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    for arguments, code, message in (
        ([run.id, "--compare", "20000101T000000-abcdef"], 2, "no run '20000101T000000-abcdef' in"),
        ([run.id, "--compare", run.id, "--output", tmp_path], 2, "is a folder; name a file"),
        ([run.id, "--compare", run.id, "--output", blocked / "page.html"], 1, "file is no folder; name another folder"),
        ([run.id, "--output", "page.html"], 2, "--output and --overwrite are for --compare RUN"),
    ):
        done = report(tmp_path, *arguments)
        assert (done.exit_code, done.stdout) == (code, ""), done.stderr
        [line] = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert message in line
