"""The model that answers: found in the registry, proven before its first answer, followed without a restart."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import CLASSES, SIDE
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.files import sha256_file
from mnist_pipeline.publishing.validate import TOLERANCE
from mnist_pipeline.registry import Manifest
from mnist_pipeline.registry.lookup import find_registry, find_scoring_model, pick_model
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.runs.artifacts import EvaluatedModel, FetchedDataset
from mnist_pipeline.runs.run import Run
from mnist_pipeline.web.worker import Rehearsal
from mnist_pipeline.web.workers import Workers
from mnist_pipeline.workspace import Workspace

logger = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between looks at the registry."""
STORED = 100
"""Predictions that a new model has to repeat."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which model is to answer.

    Attributes:
        model: champion, another alias, a version, the beginning of one, or FILE.onnx.
        name: of the model in the registry; not needed where there is one.
        workspace: whose registry it is.
        registry: folder or URL of another one.
    """

    model: str
    name: str | None
    workspace: Path
    registry: str | None = None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that answers.

    Attributes:
        scoring: the file, and the limits of its answers.
        name: in the registry, or the path of its file.
        version: its version; None of a bare file.
        manifest: what was published of it; None of a bare file.
    """

    scoring: ScoringModel
    name: str
    version: str | None = None
    manifest: Manifest | None = None


class FollowedModel:
    """The model that answers now.

    Attributes:
        current: None until one is loaded.
        problem: why no model answers, or why a newer one does not answer; "" where all is well.
    """

    def __init__(self, wanted: Wanted, workers: Workers) -> None:
        self.current: ServedModel | None = None
        self.problem = ""
        self._wanted = wanted
        self._workers = workers

    async def follow(self) -> None:
        """Look for a change now and then, for ever."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Take over the model that is wanted now, once it has repeated its stored predictions."""
        try:
            found = await asyncio.to_thread(self._find_new)
            if found is not None:
                await self._prove(found)
                self.current = found
            problem = ""
        except (PipelineError, OSError) as error:
            problem = " ".join(str(error).split())
        if problem and problem != self.problem:
            logger.warning("%s", problem)
        self.problem = problem

    def _find_new(self) -> ServedModel | None:
        """The model that is wanted, if it is not the current one."""
        wanted = self._wanted
        if wanted.model.lower().endswith(".onnx"):
            return None if self.current else ServedModel(self._scoring(), wanted.model)
        store = find_registry(wanted.workspace, wanted.registry)
        name = pick_model(store, wanted.name)
        if self.current and store.history(name).aliases.get(wanted.model, self.current.version) == self.current.version:
            return None
        manifest = store.manifest(name, wanted.model)
        scoring = find_scoring_model(manifest.version, name, wanted.workspace, wanted.registry)
        return ServedModel(scoring, name, manifest.version, manifest)

    def _scoring(self) -> ScoringModel:
        return find_scoring_model(self._wanted.model, None, self._wanted.workspace, None)

    async def _prove(self, model: ServedModel) -> None:
        images, probabilities = await asyncio.to_thread(stored_predictions, self._wanted.workspace, model.manifest)
        difference = await self._workers.rehearse(Rehearsal(model.scoring, images, probabilities))
        if difference > TOLERANCE:
            raise PipelineError(
                f"{model.name} {model.version} does not repeat its stored predictions (largest difference "
                f"{difference:.2g}, accepted {TOLERANCE:g}); what answered before goes on answering"
            )


def stored_predictions(workspace: Path, manifest: Manifest | None) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Test images, and what the run that published the model stored of them; empty where they are not at hand.

    Returns:
        uint8 [n, 28, 28] and float32 [n, 10]; n is at most `STORED`.
    """
    nothing = np.zeros((0, SIDE, SIDE), np.uint8), np.zeros((0, CLASSES), np.float32)
    if manifest is None:
        return nothing
    try:
        found = Workspace(workspace.resolve())
        run = Run(found, found.run(manifest.lineage.run))
        evaluated = run.peek(EvaluatedModel)
        fetched = run.peek(FetchedDataset)
        predictions = run.directory.predictions
        if evaluated is None or fetched is None or sha256_file(predictions) != evaluated.files[predictions.name]:
            return nothing
        images = Dataset.open(fetched.directory).test.images
        probabilities = np.load(predictions, mmap_mode="r", allow_pickle=False)
        rows = np.unique(np.linspace(0, len(images) - 1, STORED).astype(int))
        return np.array(images[rows]), np.array(probabilities[rows], np.float32)
    except (PipelineError, OSError, KeyError, ValueError):
        return nothing
