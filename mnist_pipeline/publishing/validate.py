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
from mnist_pipeline.evaluation.schema import Check

TOLERANCE = 1e-5
"""Largest accepted difference of a probability between two processes on one device."""


def validate_in_fresh_process(
    model: Path,
    sha256: str,
    images: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    *,
    device: Device = "auto",
    tolerance: float = TOLERANCE,
    timeout: float = 120,
) -> Check:
    """Load ``model`` in a new Python process through `inference.Classifier` and compare its answers.

    The check's value is the largest difference of any probability; None where the process could not tell.
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
            answer = _read_answer(done)
        except subprocess.TimeoutExpired:
            answer = {"problem": f"was still not done after {timeout:g} s"}
    difference: float | None = None
    passed = False
    if problem := answer.get("problem"):
        sentence = f"The fresh process that loaded the published bytes {problem}."
    else:
        difference, changed = answer["max_abs_difference"], answer["argmax_differences"]
        passed = answer["max_abs_difference"] <= tolerance and changed == 0
        sentence = (
            f"A fresh process loaded the published bytes and {'reproduced' if passed else 'did not reproduce'} "
            f"the stored predictions of {len(images)} images: largest difference {difference:.2g}, "
            f"accepted {tolerance:g}; {changed} other decisions."
        )
    return Check(name="infrastructure", value=difference, threshold=tolerance, passed=passed, sentence=sentence)


def _read_answer(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines()
        return {"problem": f"ended with status {done.returncode} ({lines[-1] if lines else 'no message'})"}
    return answer


def _predict_and_compare(model: Path, sha256: str, golden: Path, device: Device) -> dict[str, object]:
    """What the fresh process does."""
    from mnist_pipeline.inference import Classifier

    with np.load(golden, allow_pickle=False) as stored:
        images, expected = stored["images"], stored["probabilities"]
    found = Classifier.load(model, sha256=sha256, device=device).probabilities(images)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return {"problem": "answered with other shapes or with values that are not numbers"}
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
        answer = {"problem": f"refused: {error}"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
