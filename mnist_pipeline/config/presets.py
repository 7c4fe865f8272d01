"""The named trainings: what each changes of `schema.TrainConfig`'s defaults, and what it gave when it was measured.

Accuracy is that on the 10,000 test images of MNIST, measured by ``benchmarks/accuracy.py``; seconds of fitting
(imports and compilation apart) are those of ``benchmarks/training.py``. Where a preset or the training changes,
measure again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_MNIST = {"validation_rows": 8_250, "optimizer": "rmsprop", "batch_size": 320, "epochs": 3}
_ACCURATE = {
    "architecture": "compact",
    "views": 5,
    "optimizer": "muon",
    "learning_rate": 0.01,
    "schedule": "cosine",
    "warmup": 0.15,
    "weight_decay": 0.05,
    "batch_size": 128,
    "epochs": 18,
    "min_batches": 400,
    "average_batches": 600,
    "augmentation": {"rotation": 10, "shift": 2, "zoom": 0.1, "shear": 4, "elastic": 0.7, "noise": 0.2},
    "drawn_share": 0.08,
}
PRESET_VALUES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "codelab": {"train_rows": 5_500, "validation_rows": 1_000},
        "codelab-full": {},
        "sgd-2018": {
            "validation_rows": 1_000,
            "optimizer": "sgd",
            "learning_rate": 0.15,
            "batch_size": 64,
            "max_batches": 100,
            "validate_every_batches": 5,
        },
        "mnist-convnet": {**_MNIST, "architecture": "convnet"},
        "mnist-dense": {**_MNIST, "architecture": "dense"},
        "standard": {
            "optimizer": "muon",
            "learning_rate": 0.01,
            "schedule": "cosine",
            "warmup": 0.1,
            "batch_size": 128,
            "epochs": 8,
            "min_batches": 400,
            "augmentation": {"rotation": 8, "shift": 1.5, "zoom": 0.08, "noise": 0.1},
            "drawn_share": 0.08,
        },
        "accurate": _ACCURATE,
        "ensemble": {**_ACCURATE, "members": 4},
    }
)
DEFAULT_PRESET = "standard"

MACHINE = "2 AMD EPYC cores with AVX2, no GPU"
"""Where it was measured. Accuracy hardly depends on it, seconds do."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one preset.

    Attributes:
        parameters: of the saved model.
        accuracy: mean over the seeds.
        sd: standard deviation over the seeds; None where there are less than two.
        seeds: how many trainings were measured.
        fit_seconds: of one training.
    """

    parameters: int
    accuracy: float
    sd: float | None
    seeds: int
    fit_seconds: float


MEASURED: Mapping[str, Measured] = MappingProxyType(
    {
        "codelab": Measured(5_994, accuracy=0.9203, sd=0.0067, seeds=5, fit_seconds=9),
        # Seconds: its ten epochs on the way to the target accuracy.
        "codelab-full": Measured(5_994, accuracy=0.9828, sd=None, seeds=1, fit_seconds=87),
        "sgd-2018": Measured(5_994, accuracy=0.9311, sd=0.0090, seeds=5, fit_seconds=3),
        "mnist-convnet": Measured(33_194, accuracy=0.9661, sd=0.0054, seeds=5, fit_seconds=29),
        "mnist-dense": Measured(33_400, accuracy=0.9328, sd=0.0017, seeds=5, fit_seconds=1),
        # Seconds of these three: without the digits by other hands, which are 8 % more batches.
        "standard": Measured(5_994, accuracy=0.9930, sd=0.0003, seeds=3, fit_seconds=71),
        "accurate": Measured(141_770, accuracy=0.9962, sd=None, seeds=1, fit_seconds=369),
        # Accuracy, too; and seconds are four of the above, one after the other.
        "ensemble": Measured(567_080, accuracy=0.9966, sd=0.0001, seeds=5, fit_seconds=4 * 369),
    }
)
