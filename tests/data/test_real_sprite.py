"""The real MNIST sprite, where MNIST_PIPELINE_SOURCE names a copy: its content, and what fetching it costs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.card import read_card
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.description import load_description
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import Workspace

SOURCE = os.environ.get("MNIST_PIPELINE_SOURCE", "")
pytestmark = pytest.mark.skipif(not SOURCE, reason="MNIST_PIPELINE_SOURCE names no copy of the MNIST sprite")
# A fresh process fetches and says how much memory it ever held, in KiB. Not by getrusage: there, Linux counts
# what the process that started it held, too.
FETCH = """
import sys
from pathlib import Path
from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.workspace import Workspace
fetch_dataset(FetchConfig(source=sys.argv[1]), Workspace(Path(sys.argv[2])))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("mnist"))


@pytest.fixture(scope="module")
def mnist(workspace: Workspace) -> FetchedDataset:
    return fetch_dataset(FetchConfig(source=SOURCE), workspace)


def test_pixels_labels_and_split_are_the_pinned_ones(mnist: FetchedDataset):
    pinned = load_description("mnist")
    card = read_card(mnist.directory)
    assert mnist.digest == pinned.digest
    assert (card.pixels_sha256, card.labels_sha256) == (pinned.digests.pixels, pinned.digests.labels)
    assert (mnist.train_rows, mnist.test_rows) == (55_000, 10_000)
    assert card.checks.counts.test == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # MNIST's t10k
    assert sum(card.checks.counts.train) == 55_000
    assert card.checks.pixel_mean == pytest.approx(0.1307, abs=5e-5)
    assert card.checks.pixel_sd == pytest.approx(0.3082, abs=5e-5)
    assert card.checks.duplicates_across.count == 0


def test_splits_have_the_promised_sizes(mnist: FetchedDataset):
    dataset = Dataset.open(mnist.directory)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (50_000, 5_000, 10_000)
    few = Dataset.open(mnist.directory, train_rows=5_500, validation_rows=1_000)
    assert (len(few.train), len(few.validation)) == (5_500, 1_000)
    assert np.array_equal(few.validation.rows, dataset.validation.rows[:1_000])


def test_a_second_fetch_decodes_nothing(mnist: FetchedDataset, workspace: Workspace):
    again = fetch_dataset(FetchConfig(source=SOURCE), workspace)
    assert again.reused
    assert again.files == mnist.files


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_decoding_in_every_mode_gives_the_same_pixels_in_350_mb(mnist: FetchedDataset, tmp_path: Path, mode: str):
    from PIL import Image

    files = load_description("mnist").files
    assert files is not None
    pixels = np.load(mnist.directory / "images.npy", mmap_mode="r").reshape(65_000, 784)
    image = Image.fromarray(pixels)
    if mode == "P":
        image = Image.frombytes("P", image.size, pixels.tobytes())
        image.putpalette([channel for value in range(256) for channel in (value,) * 3])
    image.convert(mode).save(tmp_path / files.images, compress_level=1)
    image.close()
    (tmp_path / files.labels).write_bytes(np.eye(10, dtype=np.uint8)[np.load(mnist.directory / "labels.npy")].tobytes())
    result = subprocess.run(
        [sys.executable, "-c", FETCH, str(tmp_path), str(tmp_path / "workspace")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) / 1024 <= 350
