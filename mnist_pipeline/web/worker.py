"""What a worker process of the server does: read one image at a time, answer, and end with its parent.

          -> READY, once it has started
Question  -> scoring.single.Reply
Rehearsal -> float, the largest difference to the stored probabilities
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import MAX_PIXELS
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.scoring.workers.start import limit_memory, working

if TYPE_CHECKING:
    from mnist_pipeline.inference import Classifier

READY = "ready"
MODELS = 3
"""So many models a worker keeps loaded: requests that are on their way keep the one that they began with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one image may cost.

    Attributes:
        pixels: of the largest image that is decoded.
        seconds: after which its worker is replaced.
        memory_megabytes: beyond what a worker needs itself.
    """

    pixels: int = MAX_PIXELS
    seconds: float = 20.0
    memory_megabytes: int = 1_024


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is started with."""

    limits: Limits
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class Question:
    """What does this image show?

    Attributes:
        model: which is asked.
        name: of the image, for its row.
        data: bytes of the file.
    """

    model: ScoringModel
    name: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Load a model and compare what it says of images with what was stored.

    Attributes:
        model: which is asked.
        images: uint8 [n, 28, 28]; n is 0 where nothing is stored.
        probabilities: float32 [n, 10], the stored ones.
    """

    model: ScoringModel
    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


def work(connection: "Connection[Any, Any]", setup: Setup) -> None:
    """Answer until there is nobody to ask any more."""
    with working(setup.environment):
        answering = _Answering(setup.limits)
        connection.send(READY)
        while True:
            connection.send(answering.answer(connection.recv()))


class _Answering:
    """Answers with the models that were asked for last."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loaded: OrderedDict[str, Classifier] = OrderedDict()

    def answer(self, request: Question | Rehearsal) -> object:
        """The reply, or the exception that says why there is no reply."""
        try:
            model = self._load(request.model)
            return self._rehearse(request, model) if isinstance(request, Rehearsal) else self._reply(request, model)
        except PipelineError as error:
            return error
        except Exception as error:
            return PipelineError(f"a worker process failed: {type(error).__name__}: {' '.join(str(error).split())}")

    def _load(self, wanted: ScoringModel) -> "Classifier":
        from mnist_pipeline.inference import Classifier

        if wanted.sha256 not in self._loaded:
            model = Classifier.load(wanted.path, sha256=wanted.sha256, device="cpu", threads=1, spinning=False)
            self._loaded[wanted.sha256] = model
            limit_memory(self._limits.memory_megabytes)
        self._loaded.move_to_end(wanted.sha256)
        while len(self._loaded) > MODELS:
            self._loaded.popitem(last=False)
        return self._loaded[wanted.sha256]

    def _reply(self, question: Question, model: "Classifier") -> object:
        from mnist_pipeline.rejection.rule import choose_threshold
        from mnist_pipeline.scoring.items import Preprocessing
        from mnist_pipeline.scoring.single import classify_image
        from mnist_pipeline.scoring.sources.reading import BytesReader

        preprocessing = Preprocessing(BytesReader(question.data, len(question.data)), "auto", self._limits.pixels)
        return classify_image(question.name, preprocessing, model, choose_threshold(None, question.model))

    def _rehearse(self, rehearsal: Rehearsal, model: "Classifier") -> float:
        if not len(rehearsal.images):
            return 0.0
        found = model.probabilities(rehearsal.images).astype(np.float64)
        return float(np.abs(found - rehearsal.probabilities).max())
