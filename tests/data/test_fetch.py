"""Fetching from folders, URLs and the package itself; what is reused and what falls back."""

import logging
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data import fetch
from mnist_pipeline.data.card import read_card
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.description import load_description
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.data.sources import unreachable
from mnist_pipeline.errors import DownloadError, PipelineError, UsageError
from mnist_pipeline.progress import Progress
from mnist_pipeline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def hidden_files(workspace: Workspace) -> list[str]:
    """What is half-written or left over."""
    return sorted(path.name for path in workspace.root.rglob(".*.tmp"))


@pytest.fixture
def official_source(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], None]]:
    """Lead the official host to a port of this machine; None: looking up its name does not end before the test."""
    monkeypatch.setenv("NO_PROXY", "*")
    over = threading.Event()

    def lead_to(port: int | None) -> None:
        def look_up(*_: object, **__: object) -> list[object]:
            if port is None:
                over.wait()
                raise socket.gaierror("the test is over")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    yield lead_to
    over.set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_folder_file_url_and_server_give_the_same_dataset(small_sprite, serve, tmp_path: Path):
    description = small_sprite.describe(source="https://example.org/")
    sources = [str(small_sprite.folder), small_sprite.folder.as_uri(), serve(small_sprite.folder).url]
    for number, source in enumerate(sources):
        workspace = Workspace(tmp_path / str(number))
        fetched = fetch_dataset(FetchConfig(dataset=description, source=source), workspace).verify()
        dataset = Dataset.open(fetched.directory, validation_rows=0)
        assert np.array_equal(dataset.images, small_sprite.images)
        assert np.array_equal(dataset.labels, small_sprite.labels)
        assert fetched.digest == load_description(description).digest == dataset.digest
        assert fetched.directory == workspace.datasets / f"small-{fetched.digest[:12]}"
        assert sorted(fetched.files) == ["dataset.json", "images.npy", "labels.npy"]
        assert (fetched.reused, fetched.fallback) == (False, False)
        assert hidden_files(workspace) == []
        # A folder is read in place; a download is kept.
        assert workspace.downloads.exists() == source.startswith("http")


def test_the_card_says_where_the_bytes_came_from(small_sprite, serve, workspace: Workspace):
    server = serve(small_sprite.folder)
    with_secrets = server.url.replace("http://", "http://user:secret@")
    fetched = fetch_dataset(FetchConfig(dataset=small_sprite.describe(), source=with_secrets), workspace)
    card = read_card(fetched.directory)
    assert fetched.source == card.source == server.url
    sizes = {file.name: file.bytes for file in card.source_files}
    assert sizes == {"images.png": small_sprite.png.stat().st_size, "labels.bin": 320}
    assert (card.rows.train, card.rows.test, card.class_names[1]) == (24, 8, "b")
    assert sum(card.checks.counts.train) == 24
    assert card.created.tzinfo is not None
    assert abs((datetime.now(card.created.tzinfo) - card.created).total_seconds()) < 60
    assert "secret" not in "".join(path.read_text() for path in workspace.root.rglob("*.json"))


def test_a_stored_dataset_needs_no_source(small_sprite, workspace: Workspace):
    config = FetchConfig(dataset=small_sprite.describe())
    first = fetch_dataset(config, workspace)
    small_sprite.png.unlink()
    again = fetch_dataset(config, workspace)
    assert again.reused
    assert again.files == first.files


def test_a_warm_fetch_writes_nothing(small_sprite, workspace: Workspace):
    """So it works in a workspace that is mounted read-only, and asks no other process to wait."""
    config = FetchConfig(dataset=small_sprite.describe())
    fetch_dataset(config, workspace)
    shutil.rmtree(workspace.locks)

    def everything() -> list[tuple[Path, int]]:
        return sorted((path, path.stat().st_mtime_ns) for path in [workspace.root, *workspace.root.rglob("*")])

    before = everything()
    assert fetch_dataset(config, workspace).reused
    assert everything() == before


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
def test_a_damaged_dataset_is_made_again(small_sprite, workspace: Workspace, name: str, caplog):
    config = FetchConfig(dataset=small_sprite.describe())
    first = fetch_dataset(config, workspace)
    path = first.directory / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    again = fetch_dataset(config, workspace).verify()
    assert not again.reused
    assert again.files[name] == first.files[name]
    assert f"{name} has SHA-256" in caplog.text
    assert hidden_files(workspace) == []


def test_another_dataset_under_its_name_is_replaced(small_sprite, workspace: Workspace):
    config = FetchConfig(dataset=small_sprite.describe())
    right = fetch_dataset(config, workspace)
    digits = fetch_dataset(FetchConfig(dataset="digits"), workspace)
    shutil.rmtree(right.directory)
    digits.directory.rename(right.directory)
    again = fetch_dataset(config, workspace).verify()
    assert (again.digest, again.name) == (right.digest, "small")


def test_a_changed_folder_without_pinned_digests_is_noticed(small_sprite, workspace: Workspace):
    config = FetchConfig(dataset=small_sprite.describe(pinned=False))
    first = fetch_dataset(config, workspace)
    assert fetch_dataset(config, workspace).reused
    labels = small_sprite.labels.copy()
    labels[0] = 5
    small_sprite.one_hot.write_bytes(np.eye(10, dtype=np.uint8)[labels].tobytes())
    second = fetch_dataset(config, workspace)
    assert not second.reused
    assert second.digest != first.digest
    assert first.directory.exists()
    assert Dataset.open(second.directory).labels[0] == 5


def test_pinned_and_open_descriptions_agree_on_the_digest(small_sprite, workspace: Workspace):
    pinned = fetch_dataset(FetchConfig(dataset=small_sprite.describe()), workspace)
    opened = fetch_dataset(FetchConfig(dataset=small_sprite.describe(pinned=False)), workspace)
    assert opened.reused
    assert opened.digest == pinned.digest


def test_another_split_is_another_dataset(small_sprite, workspace: Workspace):
    first = fetch_dataset(FetchConfig(dataset=small_sprite.describe(pinned=False)), workspace)
    path = Path(small_sprite.describe(pinned=False))
    path.write_text(path.read_text().replace("train = 24\ntest = 8", "train = 20\ntest = 12"))
    second = fetch_dataset(FetchConfig(dataset=str(path)), workspace)
    assert (second.train_rows, second.test_rows, second.reused) == (20, 12, False)
    assert second.digest != first.digest


def test_progress_tells_bytes_and_images(small_sprite, serve, workspace: Workspace):
    told: list[Progress] = []
    server = serve(small_sprite.folder)
    fetch_dataset(FetchConfig(dataset=small_sprite.describe(), source=server.url), workspace, told.append)
    size = small_sprite.png.stat().st_size
    by_activity = {progress.activity: progress for progress in told}
    assert list(by_activity) == ["download labels.bin", "download images.png", "decode images"]
    last = by_activity["download images.png"]
    assert (last.done, last.total, last.unit) == (size, size, "bytes")
    last = by_activity["decode images"]
    assert (last.done, last.total, last.unit) == (32, 32, "images")


def test_duplicates_across_the_splits_are_reported(small_sprite, workspace: Workspace, caplog):
    from PIL import Image

    small_sprite.images[30] = small_sprite.images[2]
    Image.fromarray(small_sprite.images.reshape(32, 784)).save(small_sprite.png)
    fetched = fetch_dataset(FetchConfig(dataset=small_sprite.describe(pinned=False)), workspace)
    assert read_card(fetched.directory).checks.duplicates_across.pairs == [(2, 30)]
    assert "1 test images are among the train images too (first: test row 30 is train row 2)" in caplog.text


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("ftp://me:secret@example.org/", "--source ftp://example.org/ cannot be read: it does not begin with http://"),
        ("https://", "--source https:// cannot be read: it names no host; give an http(s), file or s3 URL"),
        ("https://me:secret@", "--source https:// cannot be read: it names no host"),
        ("https://me:se/cret@example.org/", "--source https://... cannot be read: its port is no number up to 65535"),
        ("https://example.org:99999/", "--source https://... cannot be read: its port is no number up to 65535"),
        ("http://[::1", "--source http://... cannot be read: its host is malformed"),
        ("https://example.org/a\nb", "--source https://... cannot be read: it holds a line break"),
        ("file://elsewhere/share", "--source file://elsewhere/share cannot be read: it is a file of another machine"),
        ("file:///a%00b", "--source 'file:///a%00b' names no folder"),
        ("", "--source '' names no folder; give an http(s), file or s3 URL of a folder, or a directory"),
        ("~no-such-user/mnist", "--source ~no-such-user/mnist: there is no such user, or no home folder"),
        ("{mirror}/images.png", "--source names a file, images.png; name the folder that it is in: {mirror}"),
        (
            "http://me:secret@example.org/a/labels.bin",
            "labels.bin; name the folder that it is in: http://example.org/a",
        ),
        ("http://example.org/a/labels.bin?secret", "labels.bin; name the folder that it is in: http://example.org/a"),
        (
            "s3://bucket/mnist/images.png",
            "--source names a file, images.png; name the folder that it is in: s3://bucket",
        ),
    ],
)
def test_a_source_of_no_kind_is_bad_usage_and_no_password_is_shown(
    small_sprite, workspace: Workspace, source: str, line: str
):
    config = FetchConfig(dataset=small_sprite.describe(), source=source.format(mirror=small_sprite.folder))
    with pytest.raises(UsageError) as caught:
        fetch_dataset(config, workspace)
    assert line.format(mirror=small_sprite.folder) in str(caught.value)
    assert str(caught.value).isprintable()
    assert "cret" not in str(caught.value)


def test_a_source_that_cannot_be_read_is_named(small_sprite, workspace: Workspace, tmp_path: Path):
    def refused(source: Path) -> str:
        with pytest.raises(DownloadError) as caught:
            fetch_dataset(FetchConfig(dataset=small_sprite.describe(), source=str(source)), workspace)
        return str(caught.value)

    folder = tmp_path / "other"
    assert refused(folder).startswith(f"there is no folder {folder}; --source names the folder that holds images")
    folder.write_text("a file")
    assert refused(folder).startswith(f"{folder} is a file; --source names the folder")
    folder.unlink()
    folder.mkdir()
    assert refused(folder).startswith(f"{folder / 'labels.bin'} is missing; --source names")
    (folder / "labels.bin").mkdir()
    assert refused(folder).startswith(f"{folder / 'labels.bin'} is not a regular file; --source names")
    too_long = tmp_path / ("x" * 300)
    assert refused(too_long) == f"cannot read {too_long / 'labels.bin'}: File name too long"


def test_a_workspace_that_cannot_be_written_is_one_clear_line(small_sprite, tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(PipelineError, match=r"the workspace .* cannot be written: .*; name a folder .*--workspace"):
        fetch_dataset(FetchConfig(dataset=small_sprite.describe()), Workspace(tmp_path / "file"))


def test_embedded_digits_say_so_and_take_no_source(digits_dataset, workspace: Workspace, caplog):
    assert (digits_dataset.name, digits_dataset.source) == ("digits", "embedded:scikit-learn")
    assert digits_dataset.digest == load_description("digits").digest
    fetched = fetch_dataset(FetchConfig(dataset="digits", source="https://me:secret@example.org/"), workspace)
    assert fetched.digest == digits_dataset.digest
    assert "digits is embedded: nothing is read from https://example.org/" in caplog.text
    caplog.clear()
    assert fetch_dataset(FetchConfig(dataset="digits", source="/nosuch"), workspace).reused
    assert "digits is embedded: nothing is read from /nosuch" in caplog.text


def test_without_a_network_the_digits_stand_in_loudly(official_source, workspace: Workspace, caplog):
    official_source(free_port())
    started = time.monotonic()
    fetched = fetch_dataset(FetchConfig(fall_back_to_digits=True), workspace)
    assert time.monotonic() - started < 30
    assert (fetched.name, fetched.fallback, fetched.train_rows) == ("digits", True, 1_437)
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any("MNIST CANNOT BE REACHED" in message and "ConnectError" in message for message in loud)
    assert any("'digits', not of MNIST" in message for message in loud)


def test_a_name_that_is_never_found_does_not_hold_up_the_fallback(
    official_source, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    official_source(None)
    monkeypatch.setattr(fetch, "ANSWER_SECONDS", 0.5)
    fetch_dataset(FetchConfig(dataset="digits"), workspace)
    started = time.monotonic()
    assert fetch_dataset(FetchConfig(fall_back_to_digits=True), workspace).fallback
    assert time.monotonic() - started < 10


def test_nobody_falls_back_unasked(official_source, workspace: Workspace, small_sprite, tmp_path: Path):
    official_source(free_port())
    for config in (
        FetchConfig(attempts=1),
        FetchConfig(source=str(tmp_path / "none"), fall_back_to_digits=True),
        FetchConfig(dataset=small_sprite.describe(source="none"), fall_back_to_digits=True),
    ):
        with pytest.raises(DownloadError):
            fetch_dataset(config, workspace)
    assert list(workspace.datasets.glob("[!.]*")) == []


def test_a_missing_scikit_learn_is_said_after_the_failed_download(
    official_source, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    official_source(free_port())
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DownloadError, match=r"cannot download https://storage.*stand in for it: .*'train' extra"):
        fetch_dataset(FetchConfig(fall_back_to_digits=True, attempts=1), workspace)


def test_reachability_is_told_in_one_line(small_sprite, serve, official_source, monkeypatch: pytest.MonkeyPatch):
    server = serve(small_sprite.folder)
    description = load_description(small_sprite.describe())
    assert unreachable(load_description("digits"), FetchConfig(dataset="digits")) is None
    assert unreachable(description, FetchConfig()) is None
    assert unreachable(description, FetchConfig(source=server.url)) is None
    assert unreachable(description, FetchConfig(source=server.url + "elsewhere/")) is not None
    small_sprite.one_hot.unlink()
    assert "labels.bin is missing" in (unreachable(description, FetchConfig()) or "")
    assert "404" in (unreachable(description, FetchConfig(source=server.url)) or "")
    official_source(free_port())
    assert "ConnectError" in (unreachable(load_description("mnist"), FetchConfig()) or "")


def test_a_warm_fetch_loads_no_http(small_sprite, workspace: Workspace):
    config = FetchConfig(dataset=small_sprite.describe())
    fetch_dataset(config, workspace)
    code = (
        "import sys; from pathlib import Path; from mnist_pipeline.config import FetchConfig\n"
        "from mnist_pipeline.data.fetch import fetch_dataset; from mnist_pipeline.workspace import Workspace\n"
        f"config, root = FetchConfig(dataset={config.dataset!r}), Path({str(workspace.root)!r})\n"
        "assert fetch_dataset(config, Workspace(root)).reused\n"
        "print(sorted({'httpx', 'stamina', 'sklearn', 'filelock'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_copied_workspace_is_sound(small_sprite, workspace: Workspace, tmp_path: Path):
    config = FetchConfig(dataset=small_sprite.describe())
    fetch_dataset(config, workspace)
    copy = Workspace(Path(shutil.copytree(workspace.root, tmp_path / "copy")))
    shutil.rmtree(workspace.root)
    assert fetch_dataset(config, copy).verify().reused
