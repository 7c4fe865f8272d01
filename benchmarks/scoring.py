"""Batch scoring, side by side with what it replaces, on this machine.

    python benchmarks/scoring.py [--parts small,photos,twenty,people,one,growth] [--repeat 5] [--people FOLDER]

``small``   28x28 PNG files in ten folders: the command against `thirty_lines.py` (whole process), against a loop of
            Pillow + onnxruntime in batches (whole process), against ``keras.utils.image_dataset_from_directory`` +
            ``predict`` (its inner loop alone), and against the limit: reading and decoding with the fastest decoder,
            plus the model alone, on all cores.
``photos``  photo-size JPEG files (12 megapixels): against `thirty_lines.py`, which decodes them at an eighth.
``twenty``  twenty of them: two CPUs against one.
``people``  people's images of any size, from the folder that is named, repeated: against `thirty_lines.py`, which only
            resizes them.
``one``     one image, whole process, and which heavy packages it loaded.
``growth``  ten times and a hundred times as many images (hard links): time and peak memory of all processes; the most
            of them against `thirty_lines.py` as well.

The contestants take turns, so that a busy moment hits all of them; ratios are those of medians, each with its goal.
The images are the sprite's where MNIST_PIPELINE_SOURCE names it, else the embedded digits. The model is the codelab's
network, untrained, or the one that ``--model`` names. Only the command has what its file holds beside the network: the
others, which ask for probabilities alone, have a file with nothing else in it.
Prints one JSON object; ``--fast PATH`` adds a folder with imagecodecs to the search for the fastest decoder.
"""

import argparse
import importlib
import io
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx.utils
from numpy.typing import NDArray
from PIL import Image, ImageFilter

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
BATCH = 1_000
COMMAND = "from mnist_pipeline.__main__ import main; main()"
HEAVY = ("tensorflow", "keras", "prefect", "torch")


def main() -> None:
    """Measure what is asked for and print it."""
    arguments = _arguments()
    if arguments.contestant:
        print(json.dumps(CONTESTANTS[arguments.contestant](Path(arguments.folder), Path(arguments.model))))
        return
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        bench = Bench(Path(scratch), arguments)
        result: dict[str, object] = {"cpus": CPUS}
        for part in arguments.parts.split(","):
            result[part] = bench.part(part)
            print(json.dumps({part: result[part]}), file=sys.stderr, flush=True)
    print(json.dumps(result, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="small,photos,twenty,one,growth")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--images", type=int, default=70_000, help="28x28 PNG files")
    parser.add_argument("--photos", type=int, default=120, help="JPEG files of 4000x3000 pixels")
    parser.add_argument("--people", type=Path, help="folder of people's images, repeated to 4,200 files")
    parser.add_argument("--growth", default="10000,100000,1000000")
    parser.add_argument("--scratch", help="folder for the files of the benchmark")
    parser.add_argument("--fast", default="", help="folder with imagecodecs")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    parser.add_argument("--model", default="", help="FILE.onnx in the place of the codelab's network")
    return parser.parse_args()


class Bench:
    """The files of the benchmark, and its parts."""

    def __init__(self, scratch: Path, arguments: argparse.Namespace) -> None:
        self._scratch = scratch
        self._arguments = arguments
        _in_new_process(prepare_model, scratch)
        self._model = Path(arguments.model).absolute() if arguments.model else scratch / "model.onnx"
        self._network = scratch / "network.onnx"
        onnx.utils.extract_model(self._model, self._network, ["images"], ["probabilities"])

    def part(self, name: str) -> dict[str, object]:
        parts: dict[str, Callable[[], dict[str, object]]] = {
            "small": self.small, "photos": self.photos, "twenty": self.twenty, "people": self.people,
            "one": self.one, "growth": self.growth,
        }  # fmt: skip
        return parts[name]()

    def small(self) -> dict[str, object]:
        count = self._arguments.images
        folder = write_small_images(self._scratch / "small", count)
        seconds = self._turns(
            {
                "command": lambda: self._command(folder),
                "thirty lines": lambda: self._thirty_lines(folder),
                "pillow": lambda: self._contestant("pillow", folder, whole=True),
                "keras": lambda: self._contestant("keras", folder),
                "limit": lambda: self._contestant("limit", folder),
            }
        )
        goals = {"thirty lines": 1.0, "keras": 4.5, "pillow": 2.0, "limit": 0.8}
        return self._compared(seconds, count, goals) | {"decoder": fastest_decoder(self._arguments.fast)[0]}

    def photos(self) -> dict[str, object]:
        count = self._arguments.photos
        folder = write_photos(self._scratch / "photos", count)
        seconds = self._turns(
            {
                "command": lambda: self._command(folder),
                "thirty lines": lambda: self._thirty_lines(folder, "photos"),
            }
        )
        return self._compared(seconds, count, {"thirty lines": 1.0})

    def twenty(self) -> dict[str, object]:
        folder = write_photos(self._scratch / "twenty", 20)
        seconds = self._turns(
            {
                "command": lambda: self._command(folder, cpus=2),
                "one CPU": lambda: self._command(folder, cpus=1),
            }
        )
        return self._compared(seconds, 20, {"one CPU": 1.7})

    def people(self) -> dict[str, object]:
        if self._arguments.people is None:
            raise SystemExit("people: name a folder of their images with --people")
        folder = repeat_images(self._arguments.people, self._scratch / "people", 4_200)
        seconds = self._turns(
            {"command": lambda: self._command(folder), "thirty lines": lambda: self._thirty_lines(folder)}
        )
        return self._compared(seconds, 4_200, {"thirty lines": 0.35})

    def one(self) -> dict[str, object]:
        folder = write_small_images(self._scratch / "one", 1)
        seconds = self._turns({"command": lambda: self._command(folder)})
        loaded = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", COMMAND, *self._words(folder)],
            capture_output=True, text=True, check=True,
        ).stderr  # fmt: skip
        modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in loaded.splitlines()}
        found = statistics.median(seconds["command"])
        return {
            "seconds": seconds["command"],
            "median": with_goal(found, 0.4, found <= 0.4),
            "heavy packages loaded": sorted(modules.intersection(HEAVY)),
        }

    def growth(self) -> dict[str, object]:
        counts = [int(count) for count in self._arguments.growth.split(",")]
        originals = sorted(write_small_images(self._scratch / "small", min(counts[0], 10_000)).rglob("*.png"))
        found: dict[str, object] = {}
        measured = []
        for count in counts:
            folder = link_images(originals, self._scratch / f"growth-{count}", count)
            seconds, memory = with_peak_memory([sys.executable, "-c", COMMAND, *self._words(folder)])
            found[f"{count}"] = {"seconds": seconds, "seconds per 10,000": seconds / count * 1e4, "peak MB": memory}
            measured.append((count, seconds, memory))
        turns = self._turns(
            {"command": lambda: self._command(folder), "thirty lines": lambda: self._thirty_lines(folder)}
        )
        found[f"{count}, in turns"] = self._compared(turns, count, {"thirty lines": 1.0})
        return found | grown(*measured[-2:]) if len(measured) > 1 else found

    def _turns(self, contestants: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(self._arguments.repeat):
            for name, measure in contestants.items():
                seconds[name].append(round(measure(), 4))
        return seconds

    def _compared(self, seconds: dict[str, list[float]], count: int, goals: dict[str, float]) -> dict[str, object]:
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        return {
            "seconds": seconds,
            "images/s": {name: round(count / median) for name, median in medians.items()},
            "times as fast": {
                name: with_goal(medians[name] / medians["command"], goal, medians[name] / medians["command"] >= goal)
                for name, goal in goals.items()
            },
        }

    def _words(self, folder: Path) -> list[str]:
        output = self._scratch / "out.csv"
        options = ["--model", str(self._model), "--overwrite", "--quiet"]
        return ["score", str(folder), "--output", str(output), *options]

    def _command(self, folder: Path, cpus: int | None = None) -> float:
        return whole_process([sys.executable, "-c", COMMAND, *self._words(folder)], cpus)

    def _thirty_lines(self, folder: Path, *more: str) -> float:
        script, output = Path(__file__).with_name("thirty_lines.py"), self._scratch / "lines.csv"
        return whole_process([sys.executable, str(script), str(folder), str(self._network), str(output), *more])

    def _contestant(self, name: str, folder: Path, *, whole: bool = False) -> float:
        """Seconds of its inner loop, as it says itself, or of the whole process."""
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": self._arguments.fast}
        command = [
            sys.executable,
            __file__,
            "--contestant",
            name,
            "--folder",
            str(folder),
            "--model",
            str(self._network),
        ]
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        seconds = time.perf_counter() - started
        return seconds if whole else float(json.loads(done.stdout.splitlines()[-1]))


def whole_process(command: list[str], cpus: int | None = None) -> float:
    """Seconds of a command that must succeed; on so many CPUs, where the platform can keep it to them."""
    kept: set[int] = set()
    if cpus is not None and hasattr(os, "sched_getaffinity"):
        kept = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(kept)[:cpus])
    try:
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started
    finally:
        if kept:
            os.sched_setaffinity(0, kept)


def with_goal(value: float, goal: float, met: bool) -> dict[str, object]:
    """A figure beside what was promised."""
    return {"found": round(value, 3), "goal": goal, "met": met}


def grown(less: tuple[int, float, float], more: tuple[int, float, float]) -> dict[str, object]:
    """From one number of images to a larger one: time per image and peak memory; each tuple: images, seconds, MB."""
    time_per_image = (more[1] / more[0]) / (less[1] / less[0]) - 1
    memory = more[2] / less[2] - 1
    return {
        "time per image grows by": with_goal(time_per_image, 0.1, time_per_image <= 0.1),
        "peak memory grows by": with_goal(memory, 0.05, memory < 0.05),
        "peak MB": with_goal(more[2], 1_500, more[2] < 1_500),
    }


def prepare_model(folder: Path) -> None:
    """The codelab's network, untrained: model.keras and model.onnx."""
    from mnist_pipeline.export.conversion import convert
    from mnist_pipeline.export.step import to_bytes
    from mnist_pipeline.inference import ModelMetadata
    from mnist_pipeline.training.architectures import build_model
    from mnist_pipeline.training.novelty import build_novelty

    model = build_model("codelab", 0)
    model.save(folder / "model.keras")
    metadata = ModelMetadata(
        class_names=tuple("0123456789"), dataset="none", dataset_digest="0", run_id="benchmark", preset="codelab",
        frameworks={},
    )  # fmt: skip
    (folder / "model.onnx").write_bytes(to_bytes(convert(model, build_novelty(), 17), 17, metadata))


def _in_new_process(work: Callable[[Path], None], folder: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work, args=(folder,))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__} failed")


def digits() -> NDArray[np.uint8]:
    """Images uint8 [n, 28, 28]: the sprite's, or the embedded ones."""
    from mnist_pipeline.config import FetchConfig
    from mnist_pipeline.data.fetch import fetch_dataset
    from mnist_pipeline.workspace import Workspace

    source = os.environ.get("MNIST_PIPELINE_SOURCE")
    with tempfile.TemporaryDirectory() as workspace:
        config = FetchConfig(dataset="mnist" if source else "digits", source=source)
        found = fetch_dataset(config, Workspace(Path(workspace)))
        images: NDArray[np.uint8] = np.load(found.directory / "images.npy")
    return images


def write_small_images(folder: Path, count: int) -> Path:
    """So many PNG files, in ten sub-folders."""
    if not folder.is_dir():
        images = digits()
        for number in range(count):
            path = folder / str(number % 10) / f"{number:07d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[number % len(images)]).save(path)
    return folder


def repeat_images(source: Path, folder: Path, count: int) -> Path:
    """So many files: copies of those below ``source``, again and again, in ten sub-folders."""
    originals = sorted(path for path in source.rglob("*") if path.is_file())
    for number in range(count):
        path = folder / str(number % 10) / f"{number:05d}{originals[number % len(originals)].suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(originals[number % len(originals)], path)
    return folder


def write_photos(folder: Path, count: int) -> Path:
    """So many photographs of a digit on paper, 12 megapixels each: twenty, and links to them."""
    inside = folder / "images"
    inside.mkdir(parents=True)
    random = np.random.default_rng(0)
    images = digits()
    photos = [photograph(images[number], random) for number in range(20)]
    for number, photo in enumerate(photos[:count]):
        (inside / f"{number:06d}.jpg").write_bytes(photo)
    for number in range(len(photos), count):
        (inside / f"{number:06d}.jpg").hardlink_to(inside / f"{number % len(photos):06d}.jpg")
    return folder


def photograph(digit: NDArray[np.uint8], random: np.random.Generator) -> bytes:
    """A digit written on paper under uneven light, as a camera stores it."""
    ink = Image.fromarray(digit).resize((1_600, 1_600), Image.Resampling.BICUBIC)
    ink = ink.point(lambda value: 255 * (value > 110)).filter(ImageFilter.GaussianBlur(6))
    page = np.zeros((3_000, 4_000), np.float32)
    page[700:2_300, 1_200:2_800] = np.asarray(ink, np.float32) / 255
    light = np.linspace(0.8, 1.1, 4_000, dtype=np.float32)
    grey = (210 - 150 * page) * light + random.normal(0, 5, page.shape).astype(np.float32)
    out = io.BytesIO()
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB").save(out, "JPEG", quality=88)
    return out.getvalue()


def link_images(originals: Sequence[Path], folder: Path, count: int) -> Path:
    """So many names of the same files, in one folder."""
    if not folder.is_dir():
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:08d}.png").hardlink_to(originals[number % len(originals)])
    return folder


def with_peak_memory(command: list[str]) -> tuple[float, float]:
    """Seconds of a command, and the peak of the memory of all its processes together, in MB (proportional shares)."""
    peak = 0.0
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            peak = max(peak, sum(map(_memory, _family(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"{command} ended with {code}")
    return round(seconds, 2), round(peak, 1)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _memory(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


# The contestants, each in a process of its own. They return the seconds of their inner loop.


def keras_loop(folder: Path, model: Path) -> float:
    """Keras' own way from a folder to predictions."""
    import keras

    network = keras.models.load_model(model.with_name("model.keras"))
    network.predict(np.zeros((512, 28, 28, 1), np.float32), verbose=0)
    started = time.perf_counter()
    images = keras.utils.image_dataset_from_directory(
        folder, labels=None, color_mode="grayscale", image_size=(28, 28), batch_size=512, shuffle=False, verbose=False
    ).map(lambda batch: batch / 255.0)
    network.predict(images, verbose=0)
    return time.perf_counter() - started


def pillow_loop(folder: Path, model: Path) -> float:
    """Pillow one by one, onnxruntime with all its threads in batches."""
    session = _session(model, None)
    started = time.perf_counter()
    batch: list[NDArray[np.uint8]] = []
    answers = []
    for path in sorted(folder.rglob("*.*")):
        with Image.open(path) as image:
            batch.append(np.asarray(image.convert("L").resize((28, 28))))
        if len(batch) == BATCH:
            answers.append(session.run(None, {"images": np.stack(batch)})[0])
            batch.clear()
    if batch:
        answers.append(session.run(None, {"images": np.stack(batch)})[0])
    np.concatenate(answers).argmax(axis=1)
    return time.perf_counter() - started


def limit(folder: Path, model: Path) -> float:
    """Read and decode with the fastest decoder, then the model alone: each on all cores, one process each."""
    paths = [os.fspath(path) for path in sorted(folder.rglob("*.png"))]
    shares = [paths[number::CPUS] for number in range(CPUS)]
    with multiprocessing.get_context("fork").Pool(CPUS) as pool:
        pool.map(_read_all, [share[:100] for share in shares])
        started = time.perf_counter()
        pool.map(_read_all, shares)
        reading = time.perf_counter() - started
        pool.starmap(_ask, [(model, 256)] * CPUS)
        started = time.perf_counter()
        pool.starmap(_ask, [(model, len(share)) for share in shares])
        asking = time.perf_counter() - started
    return reading + asking


def _read_all(paths: Sequence[str]) -> int:
    _, decode = fastest_decoder("")
    total = 0
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        data = os.read(descriptor, 1 << 20)
        os.close(descriptor)
        total += int(decode(data)[14, 14])
    return total


_sessions: dict[Path, Any] = {}


def _ask(model: Path, count: int) -> None:
    if model not in _sessions:
        _sessions[model] = _session(model, 1)
    images = np.zeros((256, 28, 28), np.uint8)
    for _ in range(-(-count // len(images))):
        _sessions[model].run(None, {"images": images})


def _session(model: Path, threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(os.fspath(model), options, providers=["CPUExecutionProvider"])


def fastest_decoder(folder: str) -> tuple[str, Callable[[bytes], NDArray[np.uint8]]]:
    """The better of those that are here: imagecodecs, else OpenCV."""
    if folder:
        sys.path.append(folder)
    with suppress(ImportError):
        imagecodecs: Any = importlib.import_module("imagecodecs")
        return "imagecodecs", imagecodecs.spng_decode
    cv2: Any = importlib.import_module("cv2")
    cv2.setNumThreads(1)
    return "opencv", lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


CONTESTANTS = {"keras": keras_loop, "pillow": pillow_loop, "limit": limit}

if __name__ == "__main__":
    main()
