"""Fetching while the network, the source, the disk or the user interferes.

Every fault is made for real: a server that cuts, stalls, resets or lies; many processes; a full disk; signals.
"""

import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import stamina
from PIL import Image

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.errors import DataError, DownloadError, PipelineError
from mnist_pipeline.runs.artifacts import FetchedDataset
from mnist_pipeline.workspace import Workspace

resource = pytest.importorskip("resource", reason="signals, mounts and limits as POSIX has them")
FILES = ["labels.bin", "images.png"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def no_waits() -> Iterator[None]:
    """As many attempts as configured, without the pauses between them."""
    with stamina.set_testing(True, attempts=20, cap=True):
        yield


@pytest.fixture
def server(small_sprite, serve):
    return serve(small_sprite.folder)


@pytest.fixture
def fetch(small_sprite, server, workspace: Workspace):
    """Fetch the small sprite from the server; keywords change the config."""

    def fetch(*, pinned: bool = True, **changes: object) -> FetchedDataset:
        dataset = changes.pop("dataset", None) or small_sprite.describe(pinned=pinned)
        config = FetchConfig.model_validate({"dataset": dataset, "source": server.url, "read_timeout": 5} | changes)
        return fetch_dataset(config, workspace)

    return fetch


def remains(workspace: Workspace) -> list[Path]:
    """Whatever a failed fetch left but empty folders and the lock."""
    return [path for path in workspace.root.rglob("*") if path.is_file() and workspace.locks not in path.parents]


def cut(body: bytes, missing: int, *, announced: bool = True):
    """Send a body without its end and hang up."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if announced:
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body[:-missing])
        handler.close_connection = True

    return answer


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Start an answer and reset the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"\x89PNG\r\n")
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The file objects hold the socket open: shut every way to it, so that closing sends RST.
    handler.rfile.close()
    handler.connection.close()
    handler.close_connection = True


class Stall:
    """Start an answer, as either file may start, then keep silent until released."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.release = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "320")
        handler.end_headers()
        handler.wfile.write(b"\x89PNG\r\n\x1a\n" if handler.path.endswith(".png") else b"\0")
        handler.wfile.flush()
        self.reached.set()
        self.release.wait(60)
        handler.close_connection = True


@pytest.fixture
def stall() -> Iterator[Stall]:
    stall = Stall()
    yield stall
    stall.release.set()


def _child(code: str, **options: object) -> subprocess.Popen[str]:
    prelude = (
        "import sys; from pathlib import Path; from mnist_pipeline.config import FetchConfig\n"
        "from mnist_pipeline.data.fetch import fetch_dataset; from mnist_pipeline.workspace import Workspace\n"
        "from mnist_pipeline.errors import PipelineError\n"
    )
    return subprocess.Popen(
        [*options.pop("before", []), sys.executable, "-c", prelude + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# Short downloads


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("announced", [True, False], ids=["length-announced", "length-unknown"])
def test_a_short_body_is_discarded_and_fetched_again(
    fetch, server, small_sprite, workspace, no_waits, name, announced, caplog
):
    body = (small_sprite.folder / name).read_bytes()
    server.answers[f"/{name}"] = [cut(body, 1, announced=announced), cut(body, 200), server.reply(body)]
    fetched = fetch().verify()
    assert np.array_equal(Dataset.open(fetched.directory).images, small_sprite.images)
    assert server.requests.count(f"/{name}") == 3
    assert "attempt 2 of 4" in caplog.text


@pytest.mark.parametrize("name", FILES)
def test_a_server_that_always_cuts_is_given_up_and_nothing_stays(
    fetch, server, small_sprite, workspace, no_waits, name
):
    server.answers[f"/{name}"] = [cut((small_sprite.folder / name).read_bytes(), 1)]
    with pytest.raises(DownloadError, match=rf"cannot download http.*/{name}: .*\(attempt 4 of 4\)"):
        fetch()
    assert server.requests.count(f"/{name}") == 4
    assert remains(workspace) == []


def test_a_whole_answer_with_too_few_labels_names_both_lengths(fetch, server, small_sprite, no_waits):
    server.answers["/labels.bin"] = [server.reply(small_sprite.one_hot.read_bytes()[:-1])]
    with pytest.raises(DownloadError, match="has 319 bytes, expected 320"):
        fetch(attempts=2)


# Wrong bytes


def flipped(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


def test_one_flipped_label_byte_is_refused_at_once(fetch, server, small_sprite, workspace):
    server.answers["/labels.bin"] = [server.reply(flipped(small_sprite.one_hot.read_bytes(), 5))]
    with pytest.raises(DataError, match=r"labels\.bin has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        fetch()
    assert server.requests == ["/labels.bin"]  # not again, and nothing after it
    assert remains(workspace) == []


def test_one_flipped_image_byte_is_refused_at_once(fetch, server, small_sprite, workspace):
    png = small_sprite.png.read_bytes()
    for place in (20, 60, len(png) // 2):
        server.answers["/images.png"] = [server.reply(flipped(png, place))]
        server.requests.clear()
        with pytest.raises(DataError, match=r"images\.png"):
            fetch()
        assert server.requests.count("/images.png") == 1
        assert remains(workspace) == []


def test_one_changed_pixel_in_a_valid_png_is_refused(fetch, small_sprite, workspace):
    description = small_sprite.describe()
    small_sprite.images[31, 27, 27] ^= 1
    Image.fromarray(small_sprite.images.reshape(32, 784)).save(small_sprite.png)
    with pytest.raises(DataError, match=r"the pixels from http.* have SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
        fetch(dataset=description)
    assert remains(workspace) == []


def test_a_mirror_may_encode_the_same_pixels_otherwise(fetch, small_sprite):
    description = small_sprite.describe()
    before = small_sprite.png.read_bytes()
    Image.fromarray(small_sprite.images.reshape(32, 784)).convert("RGB").save(small_sprite.png, compress_level=1)
    assert small_sprite.png.read_bytes() != before
    assert np.array_equal(Dataset.open(fetch(dataset=description).directory).images, small_sprite.images)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("page", [b"<!DOCTYPE html>\n<title>Log in</title>", b"\n  <html>hello</html>" + b" " * 9000])
def test_a_web_page_in_place_of_a_file_is_named(fetch, server, workspace, name, page):
    server.answers[f"/{name}"] = [server.reply(page, Content_Type="text/html")]
    with pytest.raises(DataError, match=rf"{name} is a web page \(it starts with .*login or proxy page") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert server.requests.count(f"/{name}") == 1
    assert remains(workspace) == []


def test_another_kind_of_file_is_named(fetch, server):
    server.answers["/images.png"] = [server.reply(b"GIF89a" + bytes(100))]
    with pytest.raises(DataError, match=r"images\.png starts with b'GIF89a.*expected a PNG"):
        fetch()


def test_a_file_without_end_is_cut_off_at_the_ceiling(fetch, server, workspace):
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"\x89PNG\r\n\x1a\n")
        while sum(sent) < 2**30:
            sent.append(handler.wfile.write(bytes(2**16)))

    server.answers["/images.png"] = [endless]
    with pytest.raises(DataError, match=r"images\.png has more than 1,148,960 bytes, accepted are at most 1,148,960"):
        fetch()
    assert sum(sent) < 2**27
    assert remains(workspace) == []


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_missing_file_is_not_asked_for_twice(fetch, server, status):
    server.answers["/labels.bin"] = [server.reply(b"", status)]
    with pytest.raises(DownloadError, match=rf"cannot download http.*labels\.bin: the server answered {status}"):
        fetch()
    assert server.requests == ["/labels.bin"]


# Stalls, resets, overload


def test_a_stall_is_timed_out_and_tried_again(fetch, server, small_sprite, stall, no_waits, caplog):
    server.answers["/labels.bin"] = [stall, server.reply(small_sprite.one_hot.read_bytes())]
    started = time.monotonic()
    fetch(read_timeout=0.3)
    assert time.monotonic() - started < 30
    assert "ReadTimeout" in caplog.text


def test_a_reset_is_tried_again(fetch, server, small_sprite, no_waits, caplog):
    server.answers["/images.png"] = [reset, reset, server.reply(small_sprite.png.read_bytes())]
    fetch()
    assert server.requests.count("/images.png") == 3
    assert "Error" in caplog.text


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_overloaded_server_is_tried_again(fetch, server, small_sprite, no_waits, status, caplog):
    busy = server.reply(b"<html>busy</html>", status)
    server.answers["/labels.bin"] = [busy, busy, server.reply(small_sprite.one_hot.read_bytes())]
    fetch()
    assert server.requests.count("/labels.bin") == 3
    assert f"the server answered {status}" in caplog.text


def test_retries_print_nothing_but_what_is_logged(small_sprite, server, workspace):
    server.answers["/labels.bin"] = [server.reply(b"", 503), server.reply(small_sprite.one_hot.read_bytes())]
    config = f"FetchConfig(dataset={small_sprite.describe()!r}, source={server.url!r})"
    process = _child(f"fetch_dataset({config}, Workspace(Path({str(workspace.root)!r})))")
    _, err = process.communicate(timeout=60)
    assert err.splitlines()[0] == "download of labels.bin: the server answered 503 Service Unavailable; attempt 2 of 4"
    assert "stamina" not in err


def test_attempts_are_capped(fetch, server, no_waits):
    server.answers["/labels.bin"] = [server.reply(b"", 503)]
    with pytest.raises(DownloadError, match=r"answered 503 Service Unavailable \(attempt 3 of 3\); name a mirror"):
        fetch(attempts=3)
    assert len(server.requests) == 3


def test_retry_after_is_honoured(fetch, server, small_sprite):
    asked = []

    def busy(handler: BaseHTTPRequestHandler) -> None:
        asked.append(time.monotonic())
        server.reply(b"", 429, Retry_After="2")(handler)

    def good(handler: BaseHTTPRequestHandler) -> None:
        asked.append(time.monotonic())
        server.reply(small_sprite.one_hot.read_bytes())(handler)

    server.answers["/labels.bin"] = [busy, good]
    fetch()
    assert asked[1] - asked[0] >= 2


@pytest.mark.parametrize("wish", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_wish_beyond_the_deadline_is_not_waited_for(fetch, server, wish):
    server.answers["/labels.bin"] = [server.reply(b"", 503, Retry_After=wish)]
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"answered 503 .*\(attempt 1 of 4\)"):
        fetch(deadline=60)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("wish", ["soon", "-5", "Fri, 99 Foo"])
def test_a_senseless_wish_is_passed_over(fetch, server, small_sprite, no_waits, wish):
    server.answers["/labels.bin"] = [
        server.reply(b"", 503, Retry_After=wish),
        server.reply(small_sprite.one_hot.read_bytes()),
    ]
    fetch()


def test_a_trickle_ends_at_the_deadline(fetch, server, workspace, stall):
    """Every byte comes before the read timeout; only the deadline over all ends it."""

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "320")
        handler.end_headers()
        while not stall.release.wait(0.05):
            handler.wfile.write(b"\0")
            handler.wfile.flush()

    server.answers["/labels.bin"] = [trickle]
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"the deadline passed after \d+ bytes"):
        fetch(deadline=1, read_timeout=5)
    assert 1 <= time.monotonic() - started < 30
    assert remains(workspace) == []


def test_a_source_that_fails_is_replaced_by_the_copy_of_an_earlier_fetch(fetch, server, no_waits, caplog):
    first = fetch(pinned=False)
    server.answers["/labels.bin"] = [server.reply(b"", 503)]
    again = fetch(pinned=False)
    assert again.digest == first.digest
    assert "using the verified copy of an earlier fetch" in caplog.text


def test_a_pinned_copy_is_decoded_without_asking(fetch, server, small_sprite, workspace):
    first = fetch()
    server.requests.clear()
    for path in first.directory.iterdir():
        path.unlink()
    assert fetch().digest == first.digest
    assert server.requests == []


@pytest.mark.parametrize("pinned", [True, False])
def test_a_damaged_copy_is_not_used(fetch, server, small_sprite, workspace, no_waits, pinned, caplog):
    fetch(pinned=pinned)
    (copy,) = workspace.downloads.glob("small-*/labels.bin")
    copy.write_bytes(flipped(copy.read_bytes(), 0))
    for path in workspace.datasets.glob("small-*/*"):
        path.unlink()
    server.answers["/labels.bin"] = [server.reply(b"", 503)]
    with pytest.raises(DownloadError, match="503"):
        fetch(pinned=pinned)
    assert "is damaged; it is not used" in caplog.text


# Many processes


def test_eight_processes_with_a_cold_cache_share_one_download(small_sprite, server, workspace):
    config = f"FetchConfig(dataset={small_sprite.describe()!r}, source={server.url!r})"
    code = (
        "import os, httpx, stamina, PIL.Image\n"
        "ready, go = os.pipe()\n"
        "for _ in range(8):\n"
        "    if not os.fork():\n"
        "        os.close(go)\n"
        "        os.read(ready, 1)\n"  # returns in all of them as soon as all are there: now they race
        f"        fetched = fetch_dataset({config}, Workspace(Path({str(workspace.root)!r}))).verify()\n"
        "        sys.stdout.write(f'{fetched.reused} {sorted(fetched.files.items())}\\n')\n"  # at once, as a whole
        "        sys.exit()\n"
        "os.close(go)\n"
        "for _ in range(8):\n"
        "    assert os.wait()[1] == 0\n"
    )
    process = _child(code)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    reused, files = zip(*(line.split(" ", 1) for line in out.splitlines()), strict=True)
    assert sorted(server.requests) == ["/images.png", "/labels.bin"]
    assert sorted(reused) == ["False"] + ["True"] * 7
    assert len(set(files)) == 1
    assert len(list(workspace.datasets.glob("small-*"))) == 1
    assert list(workspace.root.rglob("*.tmp")) == []


# A source that is not what its description says


def _save(small_sprite, image: Image.Image) -> None:
    image.save(small_sprite.png)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: _save(s, Image.new("L", (783, 32))), r"has 783x32 pixels, expected 784x32"),
        (lambda s: _save(s, Image.new("L", (784, 31))), r"has 784x31 pixels, expected 784x32"),
        (lambda s: _save(s, Image.new("RGB", (784, 32), (1, 1, 2))), r"is not grey: row 0 has colour \(1, 1, 2\)"),
        (lambda s: _save(s, Image.new("RGBA", (784, 32), (1, 1, 1, 7))), r"is transparent: row 0 has alpha 7"),
        (lambda s: _save(s, Image.new("I;16", (784, 32))), r"has mode I;16"),
        (lambda s: s.png.write_bytes(s.png.read_bytes()[:-5000]), r"ends after .* before the end of the PNG"),
        (lambda s: s.png.write_bytes(b""), r"ends after 0 bytes"),
        (lambda s: s.one_hot.write_bytes(bytes(319)), r"labels\.bin has 319 bytes, expected 320"),
        (lambda s: s.one_hot.write_bytes(bytes(321)), r"labels\.bin has more than 320 bytes, expected 320"),
        (lambda s: s.one_hot.write_bytes(bytes(320)), r"row 0 is not one-hot: found \[0, 0"),
        (
            lambda s: s.one_hot.write_bytes(s.one_hot.read_bytes()[:-10] + bytes([1] * 10)),
            r"row 31 is not one-hot: found \[1, 1, .* expected one 1 and nine 0",
        ),
    ],
)
def test_a_source_of_the_wrong_form_is_refused_before_anything_is_stored(small_sprite, workspace, damage, message):
    damage(small_sprite)
    with pytest.raises(DataError, match=message) as caught:
        fetch_dataset(FetchConfig(dataset=small_sprite.describe(pinned=False)), workspace)
    assert str(small_sprite.folder) in str(caught.value)
    assert remains(workspace) == []


# A full disk


def _can_mount() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(small_sprite, tmp_path: Path):
    """A small file system of its own, full but for 16 KiB: room for the labels, not for the images."""
    if not _can_mount():
        pytest.skip("no small file system can be mounted here (needs user namespaces)")
    disk = tmp_path / "disk"
    disk.mkdir()
    code = (
        "import os, subprocess\n"
        f"disk = Path({str(disk)!r})\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', str(disk)], check=True)\n"
        "(disk / 'other').write_bytes(bytes(40 * 1024))\n"
        "try:\n"
        f"    fetch_dataset(FetchConfig(dataset={small_sprite.describe()!r}), Workspace(disk / 'workspace'))\n"
        "except PipelineError as error:\n"
        "    print(type(error).__name__, error)\n"
        "print(sorted(p.name for p in disk.rglob('*') if p.is_file() and p.suffix != '.lock'))\n"
        "(disk / 'other').unlink()\n"
        f"fetched = fetch_dataset(FetchConfig(dataset={small_sprite.describe()!r}), Workspace(disk / 'workspace'))\n"
        "print(fetched.verify().name)\n"
    )
    process = _child(code, before=["unshare", "--user", "--map-root-user", "--mount"])
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    line, left, recovered = out.splitlines()
    assert line.startswith("PipelineError the workspace ")
    assert "No space left on device" in line
    assert line.endswith("; free some space, or name a folder that can be written with --workspace")
    assert (left, recovered) == ("['other']", "small")


@pytest.mark.parametrize("limit", [100, 5_000, 24_000])
def test_a_write_that_fails_half_way_leaves_nothing(small_sprite, server, workspace, limit: int):
    """The limit on file size fails the write of the download or of the decoded images, wherever it falls."""
    config = FetchConfig(dataset=small_sprite.describe(), source=server.url)
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, previous[1]))
        with pytest.raises(PipelineError, match=f"cannot be written: {os.strerror(errno.EFBIG)}"):
            fetch_dataset(config, workspace)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [path for path in remains(workspace) if path.suffix != ".lock"] == []


# Ctrl-C and kill


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("name", FILES)
def test_a_fetch_that_is_stopped_leaves_nothing_in_the_way(small_sprite, server, workspace, stall, sent, name):
    dataset = small_sprite.describe()
    server.answers[f"/{name}"] = [stall, server.reply((small_sprite.folder / name).read_bytes())]
    config = f"FetchConfig(dataset={dataset!r}, source={server.url!r})"
    process = _child(f"fetch_dataset({config}, Workspace(Path({str(workspace.root)!r})))")
    assert stall.reached.wait(60)
    started = time.monotonic()
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 30
    assert process.returncode == -sent, err
    if sent == signal.SIGINT:
        assert remains(workspace) == []
    fetched = fetch_dataset(FetchConfig(dataset=dataset, source=server.url), workspace).verify()
    assert not fetched.reused
    assert list(workspace.root.rglob("*.tmp")) == []
