"""`classify`: one image, one answer on the terminal, and the very row that `score` writes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.rejection.answers import REASON_NAMES, REASON_SENTENCES


def invoke(*words, code=0, **options):
    done = CliRunner().invoke(app, list(map(str, words)), **options)
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def classify(small_workspace):
    def call(*words, **options):
        return invoke("classify", "--workspace", small_workspace.root, *words, **options)

    return call


def test_its_rows_are_those_of_score_key_by_key_and_bit_by_bit(classify, small_workspace, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted(small_workspace.scans.iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
    Image.fromarray(np.full((60, 80), 230, np.uint8)).save(folder / "blank.jpg")
    large = np.kron(np.asarray(Image.open(folder / "3.png")), np.ones((9, 9), np.uint8))
    Image.fromarray(255 - large).save(folder / "on-paper.png")
    (folder / "cut.png").write_bytes((folder / "1.png").read_bytes()[:-40])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no image")
    names = sorted(path.name for path in folder.iterdir())
    output = tmp_path / "rows.jsonl"
    words = ["--workspace", small_workspace.root, "--probabilities", "--workers", 1]
    invoke("score", folder, "--output", output, *words)

    found = json.loads(classify(*(folder / name for name in names), "--json", code=1).stdout)

    expected = output.read_text().splitlines()
    assert len(expected) == 13
    for line, image in zip(expected, found["images"], strict=True):
        del image["novelty"]
        image["path"] = image["path"].removeprefix(f"{folder}/")
        assert json.dumps(image, ensure_ascii=False) == line
    assert found["model"] == f"digits {small_workspace.version}"


def test_says_digit_and_confidence_with_bars_and_what_the_model_saw(classify, small_workspace):
    path = small_workspace.scans / "0.png"
    row = json.loads(classify(path, "--json").stdout)["images"][0]
    lines = classify(path).stdout.splitlines()
    assert lines[0].startswith(f"{path}: {row['digit']}  ")
    assert lines[1].startswith(f"  {row['digit']}  \N{FULL BLOCK}")
    pixels = np.asarray(Image.open(path)) >= 96
    drawn = np.array([list(line[2:].ljust(28)) for line in lines[5:]])
    assert drawn.shape == (14, 28)
    assert ((drawn != " ") == (pixels[::2] | pixels[1::2])).all()
    assert classify(path, "--no-picture").stdout.splitlines() == lines[:4]


def test_a_terminal_without_block_elements_gets_ascii(small_workspace):
    words = [sys.executable, "-m", "mnist_pipeline", "classify", "--workspace", str(small_workspace.root)]
    path = str(small_workspace.scans / "0.png")
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run([*words, path], env=environment, capture_output=True, text=True, check=True)
    assert "\\u" not in done.stdout
    assert "#" in done.stdout.splitlines()[1]
    assert "@" in "".join(done.stdout.splitlines()[5:])


def test_standard_input_is_an_image_like_any_other(classify, small_workspace):
    data = (small_workspace.scans / "5.png").read_bytes()
    [piped] = json.loads(classify("-", "--json", input=data).stdout)["images"]
    [named] = json.loads(classify(small_workspace.scans / "5.png", "--json").stdout)["images"]
    assert piped == {**named, "path": "-"}
    assert classify("-", input=data).stdout.startswith("standard input: ")
    assert "-: empty: holds no bytes" in classify("-", input=b"", code=1).stderr


def test_says_why_an_image_is_no_digit(classify, tmp_path):
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "blank.png")
    done = classify(tmp_path / "blank.png")
    assert done.stdout == f"{tmp_path}/blank.png: no digit (blank): there is no ink on it\n"
    assert set(REASON_SENTENCES) == set(REASON_NAMES) - {""}


def test_an_image_that_cannot_be_read_costs_the_others_nothing(classify, small_workspace, tmp_path):
    good = small_workspace.scans / "1.png"
    done = classify(tmp_path / "absent.png", good, code=1)
    assert done.stderr == f"error: {tmp_path}/absent.png: missing: there is no such file\n"
    assert done.stdout.startswith(f"{good}: ")


def test_the_option_decides_when_an_answer_counts(classify, small_workspace):
    path = small_workspace.scans / "0.png"
    assert "no digit (confidence)" in classify(path, "--min-confidence", "1").stdout
    for wrong in ("1.5", "-0.1", "nan"):
        refused = classify(path, "--min-confidence", wrong, code=2)
        assert refused.stderr == f"error: --min-confidence {wrong}: give a number from 0 to 1\n"


def test_score_points_whoever_names_one_image_to_classify(small_workspace, tmp_path):
    path = small_workspace.scans / "0.png"
    words = ["score", path, "--output", tmp_path / "rows.csv", "--workspace", small_workspace.root]
    assert f"for one image there is: mnist-pipeline classify {path}" in invoke(*words, code=2).stderr


def test_loads_neither_tensorflow_nor_prefect_nor_the_whole_configuration(small_workspace):
    code = (
        "import sys\n"
        f"sys.argv = ['mnist-pipeline', 'classify', '--workspace', {str(small_workspace.root)!r}, "
        f"{str(small_workspace.scans / '0.png')!r}]\n"
        "from mnist_pipeline.cli.app import app\n"
        "try: app()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'keras', 'prefect', 'matplotlib', 'httpx', 'mnist_pipeline.config'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
