"""Infrastructure validation: a fresh process loads the model as users will and must say what was stored.

What it catches is what no measurement in the training process can: bytes that changed on their
way, a file that another process cannot read, an onnxruntime that cannot load the model alone.
After "infra validation" in TensorFlow Extended.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mnist_pipeline import Device
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.schema import Record

TOLERANCE = 1e-5
"""Largest accepted difference of a probability between two processes on one device."""


class InfrastructureValidation(Record):
    """What the fresh process found."""

    passed: bool
    max_abs_difference: float | None
    """Of any probability; None where the process could not tell."""
    sentence: str
    """For people: what was done and what came out."""


def validate_in_fresh_process(
    model: Path,
    sha256: str,
    images: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    *,
    device: Device = "auto",
    tolerance: float = TOLERANCE,
    timeout: float = 120,
) -> InfrastructureValidation:
    """Load ``model`` in a new Python process through `inference.Classifier` and compare its answers.

    Never raises for what is wrong with the model: that is the answer.

    Args:
        model: the file, where users will load it from.
        sha256: hex digest it must have.
        images: uint8 [N, 28, 28], the golden images.
        probabilities: float32 [N, classes], the stored predictions for them.
        device: where to run; the device of the stored predictions.
        tolerance: largest accepted absolute difference of a probability.
        timeout: seconds for the whole process.
    """
    with tempfile.TemporaryDirectory(prefix="mnist-pipeline-") as folder:
        golden = Path(folder) / "golden.npz"
        np.savez(golden, images=images, probabilities=probabilities)
        # -P: no module of the current folder.
        command = [sys.executable, "-P", "-m", __name__, str(model), sha256, str(golden), device]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout, check=False, text=True)
        except subprocess.TimeoutExpired:
            return _failure(f"was still not done after {timeout:g} s")
    return _judge(done, len(images), tolerance)


def _judge(done: "subprocess.CompletedProcess[str]", images: int, tolerance: float) -> InfrastructureValidation:
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines()
        return _failure(f"ended with status {done.returncode} ({lines[-1] if lines else 'no message'})")
    if "error" in answer:
        return _failure(f"refused: {answer['error']}")
    return _compare(answer, images, tolerance)


def _compare(answer: dict[str, Any], images: int, tolerance: float) -> InfrastructureValidation:
    difference, changed = answer["max_abs_difference"], answer["argmax_differences"]
    if difference is None:
        return _failure("answered with other shapes or with values that are not numbers")
    passed = difference <= tolerance and changed == 0
    sentence = (
        f"A fresh process loaded the published bytes and {'reproduced' if passed else 'did not reproduce'} "
        f"the stored predictions of {images} images: largest difference {difference:.2g}, "
        f"accepted {tolerance:g}; {changed} other decisions."
    )
    return InfrastructureValidation(passed=passed, max_abs_difference=difference, sentence=sentence)


def _failure(what: str) -> InfrastructureValidation:
    return InfrastructureValidation(
        passed=False, max_abs_difference=None, sentence=f"The fresh process that loaded the published bytes {what}."
    )


def _predict_and_compare(model: Path, sha256: str, golden: Path, device: Device) -> dict[str, object]:
    """What the fresh process does."""
    from mnist_pipeline.inference import Classifier

    with np.load(golden, allow_pickle=False) as stored:
        images, expected = stored["images"], stored["probabilities"]
    found = Classifier.load(model, sha256=sha256, device=device).probabilities(images)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return {"max_abs_difference": None, "argmax_differences": None}
    return {
        "max_abs_difference": float(np.abs(found.astype(np.float64) - expected).max()),
        "argmax_differences": int((found.argmax(1) != expected.argmax(1)).sum()),
    }


def main(arguments: list[str]) -> None:
    """The fresh process: one JSON object on stdout."""
    model, sha256, golden, device = arguments
    try:
        answer = _predict_and_compare(Path(model), sha256, Path(golden), cast(Device, device))
    except (PipelineError, OSError) as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
