"""From kept weights to the one model that is saved."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_pipeline.files import write_bytes
from mnist_pipeline.training.architectures import build_model
from mnist_pipeline.training.backend import ignore_array_copy_warning, load_keras
from mnist_pipeline.training.weights import Arrays


def combine(architecture: str, kept: Sequence[Arrays]) -> Any:
    """A float32 model with these weights; the mean of the probabilities where there are several."""
    members = []
    for weights in kept:
        member = build_model(architecture, seed=0)
        member.set_weights(weights)
        members.append(member)
    return members[0] if len(members) == 1 else average(members)


def average(members: Sequence[Any]) -> Any:
    """One model whose probabilities are the mean of those of ``members``."""
    keras = load_keras()
    images = keras.Input((28, 28, 1), name="images")
    for number, member in enumerate(members, start=1):
        member.name = f"member_{number}"
    probabilities = keras.layers.Average(name="probabilities")([member(images) for member in members])
    return keras.Model(images, probabilities, name="ensemble")


def save_model(model: Any, path: Path) -> None:
    """Write ``model`` as a .keras archive, whole or not at all."""
    # Keras insists on the suffix and writes where it is told to, so it writes elsewhere first.
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.keras"
        with ignore_array_copy_warning():
            model.save(archive)
        write_bytes(path, archive.read_bytes())
