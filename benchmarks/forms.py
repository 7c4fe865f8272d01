"""Pictures as people hand them in, by form: how many a model reads, misreads and refuses.

    python benchmarks/forms.py MODEL.onnx [--each 50] [--seed 1] [--only NAME,NAME] [--json]

Every form (`drawn_forms.py`) is drawn from test rows and from strokes of our own, half and half, by other hands and
with other parameters than the scenes that anything is trained on (`mnist_pipeline.rejection.scenes`). Each picture
goes through the code of `score`, as a PNG file, with the model's own limits. Forms that show no single digit are right
where they are refused; digits by machines (segments, dots) may be read or refused, and are counted apart.

The rows are the sprite's where MNIST_PIPELINE_SOURCE names it, else the embedded digits'. Prints a line a form: right,
wrong, wrong with a confidence above 0.9, refused; then the means over the forms with a digit and without.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from drawn_forms import BY_MACHINE, FORMS, NO_DIGIT, Page, by_hand
from numpy.typing import NDArray
from PIL import Image

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.files import sha256_file
from mnist_pipeline.imaging import painting
from mnist_pipeline.inference import Classifier
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.rejection.rule import stated_threshold
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.job import ScoringJob
from mnist_pipeline.scoring.score import score_job
from mnist_pipeline.scoring.sources.reading import Location
from mnist_pipeline.workspace import Workspace

SURE = 0.9


def main() -> None:
    """Draw, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--each", type=int, default=50, help="pictures of each form")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(FORMS), help="forms, separated by commas")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    with tempfile.TemporaryDirectory() as folder:
        labels = draw(names, arguments.each, arguments.seed, Path(folder))
        counts = count(names, labels, score(arguments.model, Path(folder)))
    found = {"forms": {name: dict(counter) for name, counter in counts.items()}, "means": means(counts)}
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if arguments.json else table(counts))


def draw(names: list[str], each: int, seed: int, folder: Path) -> dict[str, int | None]:
    """PNG files below the folder: path -> the digit that it shows, or None."""
    with tempfile.TemporaryDirectory() as workspace:
        source = os.environ.get("MNIST_PIPELINE_SOURCE")
        config = FetchConfig(source=source) if source else FetchConfig(dataset="digits")
        data = Dataset.open(fetch_dataset(config, Workspace(Path(workspace))).directory)
        rows, labels = np.asarray(data.test.images), np.asarray(data.test.labels)
    found: dict[str, int | None] = {}
    for name in names:
        random = np.random.default_rng([seed, *name.encode()])
        for number in range(each):
            label = int(random.integers(10))
            page = Page(random, Hand(random, rows, labels, label, strokes=number % 2 == 1), label)
            FORMS[name](page)
            path = f"{name}/{number:03d}.png"
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(page.finish()).save(folder / path, compress_level=1)
            found[path] = None if name in NO_DIGIT else label
    return found


class Hand:
    """Writes the digit ``label`` first, then others: from test rows, or from strokes."""

    def __init__(
        self,
        random: np.random.Generator,
        rows: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        label: int,
        *,
        strokes: bool,
    ) -> None:
        self._random, self._rows, self._labels, self._strokes = random, rows, labels, strokes
        self._label = label

    def __call__(self, height: float, pen: float, *, other: bool = False) -> painting.Ink:
        """Ink of a digit so many pixels high, by a pen so many pixels wide."""
        label = int(self._random.integers(10)) if other else self._label
        if self._strokes:
            return by_hand(label, height, pen, self._random)
        row = self._random.choice(np.flatnonzero(self._labels == label))
        return painting.write(self._rows[row], height, weight=float(np.clip(pen / height - 0.1, -0.05, 0.12)))


def score(model: Path, folder: Path) -> Iterator[dict[str, str]]:
    """The rows of ``score`` with the model's own limits."""
    threshold = stated_threshold(Classifier.load(model, device="cpu").metadata.limits)
    with tempfile.TemporaryDirectory() as place:
        output = Path(place) / "rows.csv"
        location = Location(kind="folder", root=str(folder))
        scoring = ScoringModel(model, sha256_file(model), threshold=threshold)
        score_job(ScoringJob.of(ScoreConfig(device="cpu"), location, scoring, output))
        with output.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


def count(names: list[str], labels: dict[str, int | None], rows: Iterator[dict[str, str]]) -> dict[str, Counter[str]]:
    """Form -> how many there are, and are right, wrong, sure and wrong, refused."""
    counts = {name: Counter(all=0, right=0, wrong=0, sure=0, refused=0) for name in names}
    for row in rows:
        label, counter = labels[row["path"]], counts[row["path"].partition("/")[0]]
        answer = int(row["digit"]) if row["status"] == "ok" else None
        counter["all"] += 1
        counter["right"] += answer == label
        counter["refused"] += answer is None
        counter["wrong"] += answer not in {None, label}
        counter["sure"] += answer not in {None, label} and float(row["confidence"]) > SURE
    return counts


def means(counts: dict[str, Counter[str]]) -> dict[str, dict[str, float]]:
    """Over the forms with a digit, and over those without: percentages, and the number of sure and wrong answers."""
    found = {}
    for title, chosen in (
        ("one digit", [c for name, c in counts.items() if name not in NO_DIGIT | BY_MACHINE]),
        ("one digit by a machine", [c for name, c in counts.items() if name in BY_MACHINE]),
        ("no digit", [c for name, c in counts.items() if name in NO_DIGIT]),
    ):
        if chosen:
            share = {key: float(np.mean([100 * c[key] / c["all"] for c in chosen])) for key in ("right", "wrong")}
            found[title] = share | {"forms": len(chosen), "sure": sum(c["sure"] for c in chosen)}
    return found


def table(counts: dict[str, Counter[str]]) -> str:
    """A line a form, then the means."""
    lines = [f"{'form':28} {'right':>6} {'wrong':>6} {'> 0.9':>6} {'refused':>8}"]
    for name, c in counts.items():
        lines.append(f"{name:28} {c['right']:6} {c['wrong']:6} {c['sure']:6} {c['refused']:8}")
    for title, mean in means(counts).items():
        shares = f"{mean['right']:.1f} % right, {mean['wrong']:.1f} % wrong ({mean['sure']} of them above {SURE})"
        lines.append(f"{mean['forms']} forms of {title}: {shares}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
