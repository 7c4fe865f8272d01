"""Bad images and bad files cost their own rows, whatever they are."""

import contextlib
import csv
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mnist_pipeline.errors import PipelineError, UsageError
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.imaging.decoding import decode
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.rejection.answers import ERROR
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.results import ROW, ShardResults
from mnist_pipeline.scoring.score import score_folder
from mnist_pipeline.scoring.sources.reading import FileReader
from mnist_pipeline.scoring.summary import ScoreSummary
from mnist_pipeline.scoring.workers import start
from mnist_pipeline.scoring.writers import open_rows, parse_path
from tests.support.digit_scoring import Model
from tests.support.images import bomb, png

POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX file types")
MAX_PIXELS = 10_000_000


def read_csv(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def score(folder: Path, model: Model, **config: object) -> tuple[ScoreSummary, dict[str, dict[str, str]]]:
    output = folder.with_name("out.csv")
    values = {"workers": 1, "overwrite": True, "min_confidence": 0} | config
    summary = score_folder(ScoreConfig.model_validate(values), folder, output, model.path, model.sha256)
    return summary, read_csv(output)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# 6: zero-byte or truncated images


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_an_image_cut_at_any_byte_is_an_error_and_never_an_answer(digits, kind):
    whole = encoded(Image.fromarray(digits.images[0]), kind)
    assert decode(whole, MAX_PIXELS).shape == (28, 28)
    for length in range(len(whole)):
        with pytest.raises(ImageError) as error:
            decode(whole[:length], MAX_PIXELS)
        assert error.value.kind in {"not an image", "corrupt"}, length


def test_broken_images_cost_their_own_rows(model, make_folder):
    folder = make_folder(5)
    good = next(folder.rglob("*.png")).read_bytes()
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    flipped = bytearray(good)
    flipped[-30] ^= 0xFF
    (folder / "flipped.png").write_bytes(flipped)
    summary, rows = score(folder, model)
    assert {path: row["error"].partition(":")[0] for path, row in rows.items() if row["status"] == "error"} == {
        "empty.png": "empty",
        "cut.png": "corrupt",
        "flipped.png": "corrupt",
    }
    assert (summary.ok, summary.errors) == (5, 3)
    assert summary.errors_by_kind == {"corrupt": 2, "empty": 1}


# 7: decompression bombs


def test_a_decompression_bomb_is_refused_by_its_header(model, make_folder):
    folder = make_folder(2)
    (folder / "bomb.png").write_bytes(bomb(30_000))
    summary, rows = score(folder, model)
    assert summary.ok == 2
    assert rows["bomb.png"]["error"].startswith("too large: 30,000 x 30,000 pixels; at most 100,000,000")


# 8: other formats under an image's name


def test_the_content_decides_and_nothing_that_is_a_program_is_opened(model, make_folder, monkeypatch):
    folder = make_folder(1)
    tools = folder.with_name("tools")
    tools.mkdir()
    started = folder.with_name("started")
    for name in ("gs", "gswin64c"):
        (tools / name).write_text(f"#!/bin/sh\ntouch {started}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    digit = Image.fromarray(next(iter([np.asarray(Image.open(path)) for path in folder.rglob("*.png")])))
    for kind in ("TIFF", "WEBP", "BMP"):
        (folder / f"{kind.lower()}.png").write_bytes(
            encoded(digit, kind, **({"lossless": True} if kind == "WEBP" else {}))
        )
    for kind in ("EPS", "PDF"):
        (folder / f"{kind.lower()}.png").write_bytes(encoded(digit, kind))
    (folder / "ps.png").write_bytes(b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 28 28\nshowpage\n")
    summary, rows = score(folder, model)
    assert {row["digit"] for row in rows.values() if row["status"] == "ok"} == {str(0)}
    assert sorted(path for path, row in rows.items() if row["status"] == "error") == ["eps.png", "pdf.png", "ps.png"]
    assert summary.errors_by_kind == {"not an image": 3}
    assert not started.exists()


# 11: what is no regular file


@POSIX
def test_links_pipes_sockets_and_devices_are_passed_over_and_never_waited_for(model, make_folder):
    folder = make_folder(3)
    outside = folder.with_name("outside.png")
    outside.write_bytes(next(folder.rglob("*.png")).read_bytes())
    (folder / "out.png").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to("self.png")
    os.mkfifo(folder / "pipe.png")
    expected = {"symbolic link": 3, "pipe": 1, "socket": 1}
    previous = Path.cwd()
    os.chdir(folder)  # a socket's path is short
    try:
        server = socket.socket(socket.AF_UNIX)
        server.bind("socket.png")
    finally:
        os.chdir(previous)
    with contextlib.suppress(PermissionError):
        os.mknod(folder / "zero.png", 0o020666, os.makedev(1, 5))
        expected["device"] = 1
    with contextlib.closing(server):
        summary, rows = score(folder, model)
    assert len(rows) == summary.ok == 3
    assert summary.skipped == expected


@POSIX
def test_a_pipe_or_a_link_in_the_place_of_a_listed_file_does_not_block_and_is_not_followed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "link").symlink_to("secret")
    reader = FileReader(str(tmp_path), 1_000, follow_links=False)
    for name in (b"pipe", b"link", b"."):
        with pytest.raises(ImageError) as error:
            reader.read(name)
        assert error.value.kind == "not a file"


# 12: names


names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name and b"/" not in name)


@given(st.lists(names, unique=True, min_size=1, max_size=8))
def test_any_name_survives_a_csv_file_and_no_cell_is_a_formula(paths):
    out = io.BytesIO()
    rows = np.zeros(len(paths), ROW)
    rows["status"] = ERROR
    messages = dict.fromkeys(range(len(paths)), ("=cmd|'/C calc'!A0", "corrupt"))
    with open_rows(".csv", out, probabilities=False) as write:
        write(ShardResults(tuple(paths), rows, messages))
    read = list(csv.DictReader(io.StringIO(out.getvalue().decode(), newline="")))
    assert [parse_path(row["path"].removeprefix("'")) for row in read] == paths
    for row in read:
        assert not row["path"].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert row["error"] == "'=cmd|'/C calc'!A0: corrupt"


@POSIX
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(names.filter(lambda name: not name.startswith(b".")), min_size=2, max_size=12))
def test_files_with_any_name_are_scored(model, digits, chosen):
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "images"
        folder.mkdir()
        for name in chosen:
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(png(digits.images[1]))
        score_folder(
            ScoreConfig(workers=1, min_confidence=0), folder, Path(root) / "out.jsonl", model.path, model.sha256
        )
        rows = [json.loads(line) for line in (Path(root) / "out.jsonl").read_text().split("\n")[:-1]]
    assert [parse_path(row["path"]) for row in rows] == sorted(chosen)
    assert {row["status"] for row in rows} == {"ok"}


# 13: files that vanish or change


def test_a_listed_file_that_is_gone_is_a_row(model, make_folder, tmp_path):
    folder = make_folder(2)
    present = sorted(folder.rglob("*.png"))
    from mnist_pipeline.rejection.model import ScoringModel
    from mnist_pipeline.scoring.job import ScoringJob
    from mnist_pipeline.scoring.score import score_job
    from mnist_pipeline.scoring.sources.reading import Location

    paths = "\n".join([*map(str, present), str(folder / "gone.png")])
    output = tmp_path / "out.csv"
    location, scoring_model = Location(kind="list", root=str(tmp_path)), ScoringModel(model.path, model.sha256)
    job = ScoringJob.of(ScoreConfig(workers=1), location, scoring_model, output)
    summary = score_job(job, io.BytesIO(paths.encode()))
    assert read_csv(output)[str(folder / "gone.png")]["error"] == "missing: there is no such file"
    assert (summary.images, summary.errors) == (3, 1)


def test_what_is_recorded_of_the_inputs_is_the_digest_of_the_bytes_that_were_scored(model, make_folder):
    folder = make_folder(4)
    summary, rows = score(folder, model)
    digests = b"".join(bytes.fromhex(sha256_bytes((folder / path).read_bytes())) for path in rows)
    assert summary.inputs_sha256 == sha256_bytes(digests)


def test_a_file_that_changes_all_the_time_is_read_whole_or_not_at_all(tmp_path):
    versions = (b"a" * 3_000, b"b" * 50_000)
    path = tmp_path / "image"
    path.write_bytes(versions[0])
    stop = threading.Event()

    def mutate() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            if turn % 2:
                path.write_bytes(versions[turn // 2 % 2])
            else:
                other = tmp_path / "other"
                other.write_bytes(versions[turn // 2 % 2])
                other.replace(path)

    thread = threading.Thread(target=mutate)
    thread.start()
    reader = FileReader(str(tmp_path), 1_000_000, follow_links=False)
    kinds: set[str] = set()
    read: list[tuple[bytes, int]] = []
    try:
        for _ in range(300):
            try:
                data, signature = reader.read(b"image")
                read.append((data, signature.size))
            except ImageError as error:
                kinds.add(error.kind)
    finally:
        stop.set()
        thread.join()
    assert read
    # What is read was the file's whole content at some moment. A writer that is held up in the middle leaves a
    # beginning there, which cannot be told from a short file: the decoder refuses it, as any image that was cut off.
    assert all(any(version.startswith(data) for version in versions) and size == len(data) for data, size in read)
    assert kinds <= {"changed", "empty"}


# 14: errors of the disk that pass


HOOKED = """
import sys
from pathlib import Path
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.score import score_folder
from mnist_pipeline.scoring.workers import start
start.METHOD, config, folder, output, model, sha256 = sys.argv[1:]
summary = score_folder(ScoreConfig.model_validate_json(config), Path(folder), Path(output), Path(model), sha256)
print(summary.model_dump_json())
"""


def score_hooked(
    code: str, folder: Path, model: Model, method: str = start.METHOD, **config: object
) -> tuple[ScoreSummary, dict[str, dict[str, str]]]:
    """As `score`, in a process of its own, where every process runs ``code`` when it starts."""
    hooks, output = folder.with_name("hooks"), folder.with_name("out.csv")
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(code)
    values = ScoreConfig.model_validate({"workers": 1, "overwrite": True, "min_confidence": 0} | config)
    arguments = [method, values.model_dump_json(), str(folder), str(output), str(model.path), model.sha256]
    done = subprocess.run(
        [sys.executable, "-c", HOOKED, *arguments],
        env=os.environ | {"PYTHONPATH": str(hooks)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return ScoreSummary.model_validate_json(done.stdout), read_csv(output)


FAILING_READ = """
import errno, os
read, seen = os.read, set()
def failing(descriptor, size):
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        path = ""
    if path.endswith("00002.png") or (path.endswith(".png") and path not in seen):
        seen.add(path)
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return read(descriptor, size)
os.read = failing
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_an_io_error_is_tried_again_and_is_never_called_corrupt(model, make_folder):
    folder = make_folder(4)
    summary, rows = score_hooked(FAILING_READ, folder, model)
    assert summary.ok == 3
    (failed,) = [row for row in rows.values() if row["status"] == "error"]
    assert failed["path"].endswith("00002.png")
    assert failed["error"] == "unreadable: cannot be read: Input/output error"


# 16: decoders that crash, hang or eat memory

POISON = """
import os, signal, time
def poison(data):
    if data.endswith(b"crash"): os.kill(os.getpid(), signal.SIGSEGV)
    if data.endswith(b"hang"): time.sleep(600)
    if data.endswith(b"memory"): bytearray(2_000_000_000)
    return original(data)
import mnist_pipeline.imaging.decoding as decoding
original = decoding.read_header
decoding.read_header = poison
"""


@POSIX
@pytest.mark.parametrize("method", [start.METHOD, "spawn"])
def test_an_image_that_kills_its_decoder_costs_its_own_row(model, make_folder, method):
    folder = make_folder(30)
    clean, expected = score(folder, model)
    good = next(folder.rglob("*.png")).read_bytes()
    for name, ending in (("5/crash.png", b"crash"), ("5/hang.png", b"hang"), ("5/memory.png", b"memory")):
        (folder / name).write_bytes(good + ending)
    summary, rows = score_hooked(POISON, folder, model, method, image_seconds=4)
    assert clean.ok == summary.ok == 30
    assert {path: row for path, row in rows.items() if row["status"] == "ok"} == expected
    assert rows["5/crash.png"]["error"] == "crashed: brought 2 workers down (SIGSEGV)"
    assert rows["5/hang.png"]["error"] == "timed out: took more than 4 s"
    assert rows["5/memory.png"]["error"] == "too large: needs more memory than a worker may use"


@pytest.mark.skipif(sys.platform != "linux", reason="the address space can be limited")
def test_an_image_that_needs_more_memory_than_allowed_costs_its_own_row(model, make_folder):
    folder = make_folder(3)
    (folder / "large.png").write_bytes(encoded(Image.new("RGBA", (9_900, 10_000)), "PNG"))
    summary, rows = score(folder, model, max_memory_megabytes=256)
    assert summary.ok == 3
    assert rows["large.png"]["error"] == "too large: needs more memory than a worker may use"


# 31: nothing to score


def test_an_empty_folder_gives_an_empty_valid_output(model, tmp_path):
    (tmp_path / "images").mkdir()
    summary, rows = score(tmp_path / "images", model)
    assert (summary.images, rows) == (0, {})
    assert (tmp_path / "out.csv").read_text() == "path,status,digit,confidence,reason,error\n"


def test_a_folder_without_images_lists_what_is_there_as_errors(model, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "readme.txt").write_text("no image")
    summary, rows = score(tmp_path / "images", model)
    assert rows["readme.txt"]["error"] == "not an image: none of PNG, JPEG, BMP, TIFF, WEBP, GIF by its content"
    assert summary.errors == summary.images == 1


def test_a_folder_that_is_none_is_a_usage_error_before_any_work(model, tmp_path):
    with pytest.raises(UsageError, match="cannot be read as a folder"):
        score_folder(ScoreConfig(), tmp_path / "nowhere", tmp_path / "out.csv", model.path, model.sha256)
    assert list(tmp_path.iterdir()) == []


SCAN_AS_NOBODY = """
import json, os, sys
from pathlib import Path
from mnist_pipeline.scoring.sources.listing import Skipped, scan_folder
if os.getuid() == 0: os.setuid(65534)
skipped = Skipped()
print(json.dumps([sorted(os.fsdecode(name) for name in scan_folder(Path(sys.argv[1]), frozenset(), skipped)),
                  skipped.unreadable]))
"""


@POSIX
def test_a_folder_that_may_not_be_read_is_named_and_the_others_are_listed():
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        Path(root).chmod(0o755)
        for name in ("open", "shut"):
            (Path(root) / name).mkdir()
            (Path(root) / name / "image.png").write_bytes(b"x")
        (Path(root) / "shut").chmod(0)
        done = subprocess.run([sys.executable, "-c", SCAN_AS_NOBODY, root], capture_output=True, text=True, check=True)
        (Path(root) / "shut").chmod(0o755)
    assert json.loads(done.stdout) == [["open/image.png"], ["shut/: Permission denied"]]


# 33: outputs that cannot be written


@pytest.mark.skipif(sys.platform != "linux", reason="/proc can never be written")
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(model, make_folder):
    with pytest.raises(PipelineError, match="/proc/1 cannot be written"):
        score_folder(ScoreConfig(), make_folder(1), Path("/proc/1/out.csv"), model.path, model.sha256)


def test_an_output_that_is_a_folder_or_of_no_known_kind_is_refused(model, make_folder, tmp_path):
    folder = make_folder(1)
    (tmp_path / "taken.csv").mkdir()
    for output, why in (("taken.csv", "is a folder"), ("out.xls", ".csv, .jsonl, .parquet")):
        with pytest.raises(UsageError, match=why):
            score_folder(ScoreConfig(overwrite=True), folder, tmp_path / output, model.path, model.sha256)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "taken.csv"]
