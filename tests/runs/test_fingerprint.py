"""What a result's fingerprint leaves out: nothing that the code which makes the result imports, but for good reason."""

import dataclasses
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

import mnist_pipeline
from mnist_pipeline import steps
from mnist_pipeline.runs import fingerprint
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, Sources, code_digest
from mnist_pipeline.scoring import job
from mnist_pipeline.scoring.workers import worker

PACKAGE = "mnist_pipeline"
ROOT = Path(mnist_pipeline.__file__).parent
GROUND = {
    "config": "carries values, which are in every key",
    "errors": "sentences",
    "files": "reads and writes the bytes that it is asked for",
    "network": "brings bytes, which are hashed",
    "progress": "tells how far the work is",
    "runs": "carries values and digests from step to step",
    "schema": "carries values",
    "stderr": "silences messages",
    "workspace": "names of files",
}
"""Modules in no fingerprint, and why: they do not decide what a result is."""
NEUTRAL = {
    "certifi": "says whom to trust on the way",
    "filelock": "keeps other processes out",
    "google": "protobuf: comes with onnx, whose version counts",
    "httpx": "brings bytes, which are hashed",
    "obstore": "brings bytes, which are hashed",
    "pyarrow": "writes rows that are made",
    "pydantic": "carries values",
    "pydantic_core": "carries values",
    "stamina": "tries again what the network lost",
}
"""Packages that need not be in a fingerprint, and why."""
DECODED = {"PIL": "decodes the sprite when it is fetched; its pixels are in the dataset's digest"}
DISTRIBUTIONS = {
    "HersheyFonts": ("Hershey-Fonts",),
    "PIL": ("pillow",),
    "cv2": ("opencv-python-headless",),
    "onnxruntime": ONNXRUNTIME,
}
"""Of those packages whose distributions have other names."""

MADE_BY: list[tuple[Sources, str, dict[str, str]]] = [
    (steps.TRAINING, steps.train_model.__module__, NEUTRAL | DECODED),
    (steps.NOVELTY, steps.train_novelty.__module__, NEUTRAL | DECODED),
    (steps.EXPORT, steps.export_model.__module__, NEUTRAL | DECODED),
    (steps.EVALUATION, steps.evaluate_model.__module__, NEUTRAL | DECODED),
    (job.SOURCES, worker.__name__, NEUTRAL),
]
"""Sources, the module whose work they are to describe, and what they may leave out."""
made_by = pytest.mark.parametrize(("sources", "module", "neutral"), MADE_BY, ids=[module for _, module, _ in MADE_BY])


@cache
def graph() -> grimp.ImportGraph:
    """All imports of the package, those inside functions included."""
    return grimp.build_graph(PACKAGE, include_external_packages=True, exclude_type_checking_imports=True)


def imports_of(module: str) -> set[str]:
    """Every module that ``module`` imports, directly or through others; importing one runs the packages around it."""
    found: set[str] = set()
    new = {module}
    while new:
        found |= new
        around = {name.rpartition(".")[0] for name in found if name.startswith(f"{PACKAGE}.")} - {PACKAGE}
        new = {name for one in new | around for name in graph().find_upstream_modules(one)} | around
        new -= found
    return found


@made_by
def test_no_room_is_left_out(sources, module, neutral):
    own = {name.split(".")[1] for name in imports_of(module) if name.startswith(f"{PACKAGE}.")}
    assert own - GROUND.keys() == {Path(room).stem for room in sources.rooms}


@made_by
def test_no_package_is_left_out(sources, module, neutral):
    outside = {name for name in imports_of(module) if not name.startswith(PACKAGE)} - {*sys.stdlib_module_names}
    declared = {name for name in outside if {*DISTRIBUTIONS.get(name, (name,))} <= {*sources.packages}}
    assert outside - declared <= neutral.keys()


@pytest.fixture
def change(tmp_path, monkeypatch) -> Iterator[Callable[[str], None]]:
    """Fingerprints look at a copy of the package; call it with the path of a file that is to change."""
    root = Path(shutil.copytree(ROOT, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__")))
    monkeypatch.setattr(fingerprint, "PACKAGE", root)
    code_digest.cache_clear()

    def append(name: str) -> None:
        with (root / name).open("a") as file:
            file.write("\n# changed\n")
        code_digest.cache_clear()

    yield append
    code_digest.cache_clear()


ALL: dict[str, Sources] = {
    "train": steps.TRAINING,
    "novelty": steps.NOVELTY,
    "export": steps.EXPORT,
    "evaluate": steps.EVALUATION,
    "score": job.SOURCES,
}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("evaluation/metrics.py", {"evaluate"}),
        ("rejection/negatives.py", {"train", "novelty", "export", "evaluate", "score"}),
        ("reporting/templates/style.css", set()),
        ("rejection/limits.py", {"train", "novelty", "export", "evaluate", "score"}),
        ("inference/classifier.py", {"export", "evaluate", "score"}),
        ("data/dataset.py", {"train", "novelty", "export", "evaluate"}),
        ("training/loop.py", {"train", "novelty"}),
        ("imaging/levels.py", {"train", "novelty", "evaluate", "score"}),
        ("config/schema.py", set()),
        ("cli/app.py", set()),
        ("publishing/gate.py", set()),
    ],
)
def test_a_change_of_code_does_again_what_depends_on_it_and_nothing_else(change, file, changed):
    before = {name: sources.fingerprint() for name, sources in ALL.items()}
    change(file)
    assert {name for name, sources in ALL.items() if sources.fingerprint() != before[name]} == changed


def test_another_version_of_a_package_is_another_fingerprint(monkeypatch):
    before: dict[str, Any] = {name: sources.fingerprint() for name, sources in ALL.items()}
    monkeypatch.setattr(fingerprint, "installed_version", lambda package: f"{package} of tomorrow")
    for name, sources in ALL.items():
        after = sources.fingerprint()
        assert {package for package in after if after[package] != before[name][package]} == {*sources.packages}


def test_every_room_that_is_named_is_there():
    for sources in ALL.values():
        for room in sources.rooms:
            assert (ROOT / room).exists()
        assert dataclasses.replace(sources, rooms=()).fingerprint()["code"] != sources.fingerprint()["code"]
