"""What a good engineer writes in ten minutes in the place of `score`: no check, no resume, no refusal, one resize.

    python benchmarks/thirty_lines.py FOLDER MODEL.onnx OUTPUT.csv [photos]

With ``photos`` images are decoded at an eighth of their size.
"""

import csv
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

FLAG = cv2.IMREAD_REDUCED_GRAYSCALE_8 if sys.argv[4:] == ["photos"] else cv2.IMREAD_GRAYSCALE


def start(model: str) -> None:
    global session  # noqa: PLW0603
    cv2.setNumThreads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def classify(paths: list[str]) -> list[tuple[str, int, float]]:
    images = [cv2.imread(path, FLAG) for path in paths]
    small = [
        image if image.shape == (28, 28) else cv2.resize(image, (28, 28), interpolation=cv2.INTER_AREA)
        for image in images
    ]
    probabilities = session.run(["probabilities"], {"images": np.stack(small)})[0]
    return list(zip(paths, probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist(), strict=True))


if __name__ == "__main__":
    folder, model, output = sys.argv[1:4]
    paths = sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())
    size = max(1, min(1_000, len(paths) // 16))
    chunks = [paths[start : start + size] for start in range(0, len(paths), size)]
    with ProcessPoolExecutor(initializer=start, initargs=(model,)) as pool, Path(output).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "digit", "confidence"])
        for rows in pool.map(classify, chunks):
            writer.writerows(rows)
