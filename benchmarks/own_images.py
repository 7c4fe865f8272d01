"""What labelling one's own images gains: errors on images of other people, before and after.

    MNIST_PIPELINE_SOURCE=... python -m benchmarks.own_images [SOURCE ...] [--images 200] [--seeds 5] [--folder DIR]

A SOURCE is what ``labels add`` takes: a folder per class, or a table path,label. Who made an image is told by what its
name begins with, up to the last hyphen. Half of the images, by people, are held out; the others are the pool. Without
a SOURCE: scikit-learn's digits as ink on paper, whose rows are thirteen people's, one after the other.

For each seed, with the commands and steps of the product: a model is trained and scores the pool; then two labellings,
each the beginning of a training that starts anew: the images that the review picks, answered by keys in Chromium, and
as many at random. Errors are those on the held-out images: wrong digits, refused ones, and what is none but answered.
Each finished seed is a line of results.jsonl in the folder; run again, it goes on. Prints one JSON object.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.serving import server
from mnist_pipeline import NO_DIGIT, steps
from mnist_pipeline.config import PipelineConfig, parse_config
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.order import stable_permutation
from mnist_pipeline.evaluation.own_test import measure_own_test
from mnist_pipeline.evaluation.schema import OwnTest
from mnist_pipeline.inference import Classifier
from mnist_pipeline.labels.sources import find_images
from mnist_pipeline.labels.store import NewImage, open_labels
from mnist_pipeline.rejection.classes import NONE
from mnist_pipeline.runs.run import Run
from mnist_pipeline.workspace import Workspace
from tests.support.browser import Browser, chromium

PROGRAM = (sys.executable, "-P", "-m", "mnist_pipeline")
PEOPLE = 13
READY = """const [area, end] = ["reviewer", "finished"].map((id) => document.getElementById(id));
return area.ariaBusy === "false" && (end.hidden ? area.dataset.shown : "over");"""

Pictures = Mapping[str, NewImage]
"""Digest -> image with its label."""


def main(words: Sequence[str] | None = None) -> None:
    """Measure what is missing, print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path, metavar="SOURCE")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--preset", default="codelab")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of the training")
    parser.add_argument("--images", type=int, default=200, help="how many are labelled")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("artifacts/benchmarks/own_images"))
    options = parser.parse_args(words)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    training = {"preset": options.preset, **dict(one.split("=", 1) for one in options.set)}
    fetch = {"dataset": options.dataset, "source": os.environ.get("MNIST_PIPELINE_SOURCE")}
    images = [image for source in options.sources or [draw_pages(folder / "pages")] for image in find_images(source)]
    pictures = {hashlib.sha256(image.data).hexdigest(): image for image in images}
    results = folder / "results.jsonl"
    for seed in range(options.seeds):
        if seed not in {line["seed"] for line in lines(results)}:
            config = parse_config(PipelineConfig, {"fetch": fetch, "training": {**training, "seed": seed}})
            found = Trial(config, pictures, options.images, seed, folder).run()
            with results.open("a") as file:
                file.write(json.dumps(found) + "\n")
    measured = [line for line in lines(results) if line["seed"] < options.seeds]
    print(json.dumps({"training": training, "pictures": len(pictures)} | summarise(measured), indent=2))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True, slots=True)
class Trial:
    """One seed: of the training, of who is held out, and of what is picked at random."""

    config: PipelineConfig
    pictures: Pictures
    count: int
    seed: int
    folder: Path

    def run(self) -> dict[str, Any]:
        pool, held_out = split(self.pictures, self.seed)
        archive = pack(held_out, self.folder / f"held-out-{self.seed}.zip")
        reviewed, at_random = (self.folder / f"labels-{self.seed}" / name for name in ("review", "random"))
        model, before = self.train(archive)
        self._review(model, pool, reviewed)
        drawn = stable_permutation(len(pool), self.seed)[: self.count]
        open_labels(at_random).add([list(pool.values())[place] for place in drawn], by="random")
        after = {labels.name: self.train(archive, labels)[1] for labels in (reviewed, at_random)}
        return {"seed": self.seed, "pool": len(pool), "before": before} | after

    def train(self, archive: Path, labels: Path | None = None) -> tuple[Path, dict[str, Any]]:
        """The model, with the labels of a folder where one is given, and what it makes of the held-out images."""
        config = parse_config(
            PipelineConfig, self.config.model_dump(mode="json"), {"fetch": {"labels": labels and str(labels)}}
        )
        run = Run.start(Workspace(self.folder / "workspace"), config)
        dataset = steps.fetch(config.fetch, run)
        extra = steps.collect(config.fetch, dataset, run) if labels else None
        trained = steps.train(config.training, dataset, run, extra=extra)
        exported = steps.export(config.export, dataset, trained, steps.novelty(dataset, run), run)
        names = list(Dataset.open(dataset.directory).class_names)
        found = errors(measure_own_test(Classifier.load(exported.path), archive, names))
        fitted = {"fitted": extra.images, "own_test": extra.own_test} if extra else {}
        return exported.path, found | fitted | {"validation_accuracy": trained.validation_accuracy}

    def _review(self, model: Path, pool: Pictures, labels: Path) -> None:
        """Score the pool, and answer on the page what the review picks."""
        scans, output = self.folder / f"pool-{self.seed}", self.folder / f"scored-{self.seed}.csv"
        scans.mkdir(exist_ok=True)
        for digest, image in pool.items():
            (scans / f"{digest}{Path(image.source).suffix}").write_bytes(image.data)
        score = [*PROGRAM, "score", str(scans), "--model", str(model), "--output", str(output), "--overwrite"]
        subprocess.run(score, check=True, capture_output=True)
        asked = ["--review", str(output), "--review-count", str(self.count), "--labels", str(labels)]
        with server("--workers", "1", "--model", str(model), *asked) as url, chromium() as browser:
            answer(browser, url, {digest: image.label for digest, image in pool.items()})


def split(pictures: Pictures, seed: int) -> tuple[Pictures, Pictures]:
    """The pool and the held-out images, half of them; each person's on one side."""
    people = sorted({person(image) for image in pictures.values()})
    held_out: dict[str, NewImage] = {}
    for place in stable_permutation(len(people), seed):
        if len(held_out) < len(pictures) / 2:
            held_out |= {digest: image for digest, image in pictures.items() if person(image) == people[place]}
    return {digest: image for digest, image in pictures.items() if digest not in held_out}, held_out


def person(image: NewImage) -> str:
    """Who made an image."""
    stem = Path(image.source).stem
    return stem.rpartition("-")[0] or stem


def pack(pictures: Pictures, archive: Path) -> Path:
    """As own_test.zip is."""
    with zipfile.ZipFile(archive, "w") as packed:
        for digest, image in pictures.items():
            packed.writestr(f"{image.label}/{digest}", image.data)
    return archive


def errors(found: OwnTest) -> dict[str, int]:
    """How often each mistake is made."""
    wrong = sum(NONE not in (mistake.true, mistake.answer) for mistake in found.mistakes)
    return {
        "samples": found.samples,
        "errors": len(found.mistakes),
        "wrong": wrong,
        "refused": found.digits_refused,
        "none_answered": found.no_digits - found.no_digits_refused,
    }


def answer(browser: Browser, url: str, labels: Mapping[str, str]) -> None:
    """Press the key of each picture's label until the page says that all are answered."""
    browser.open(f"{url}review")
    browser.driver.find_element("id", "name").send_keys("key by key\n")
    while (shown := browser.wait(READY)) != "over":
        key = "x" if labels[shown] == NO_DIGIT else labels[shown]
        browser.command("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        browser.command("Input.dispatchKeyEvent", type="keyUp", key=key)
        browser.wait(f"const now = (() => {{ {READY} }})(); return now && now !== arguments[0]", shown)


def draw_pages(folder: Path) -> Path:
    """scikit-learn's digits, eight times as large, as ink on paper; a folder per class."""
    from sklearn.datasets import load_digits

    rows, paper = load_digits(), np.random.default_rng(0)
    for number, (image, label) in enumerate(zip(rows.images, rows.target, strict=True)):
        ink = cv2.resize(image / 16, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC).clip(0, 1)
        page = paper.normal(235, 2, (112, 112)) - 190 * np.pad(ink, 24)
        path = folder / str(label) / f"person{number * PEOPLE // len(rows.images)}-{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), page.clip(0, 255).astype(np.uint8))
    return folder


def summarise(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Errors in per cent of the held-out images, means over the seeds; and what labelling saves."""

    def share(line: Mapping[str, Any], arm: str) -> float:
        return 100 * float(line[arm]["errors"]) / float(line[arm]["samples"])

    arms = ("before", "review", "random")
    gains = {
        f"{there} minus {here}": [share(line, there) - share(line, here) for line in measured]
        for there, here in (("before", "review"), ("before", "random"), ("random", "review"))
    }
    return {
        "errors_percent": {arm: round(statistics.fmean(share(line, arm) for line in measured), 2) for arm in arms},
        "difference_percent": {
            name: {
                "mean": round(statistics.fmean(values), 2),
                "sd": round(statistics.stdev(values), 2) if len(values) > 1 else None,
            }
            for name, values in gains.items()
        },
        "seeds": list(measured),
    }


if __name__ == "__main__":
    main()
