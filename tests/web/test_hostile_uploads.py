"""What is sent that is no image, no form or no HTTP gets its sentence, and the server answers the next request."""

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from itertools import repeat

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.support.images import bomb, png
from tests.support.served import Served, served

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
SECONDS = 4
"""That the server of these tests gives an image."""
POISON = f"""
import os, signal, time
import mnist_pipeline.imaging.decoding as decoding
from mnist_pipeline.web import worker
def poison(data):
    if data.endswith(b"crash"): os.kill(os.getpid(), signal.SIGSEGV)
    if data.endswith(b"hang"): time.sleep(600)
    if data.endswith(b"memory"): bytearray(2_000_000_000)
    return original(data)
original, decoding.read_header = decoding.read_header, poison
worker.Limits.__init__.__defaults__ = (worker.MAX_PIXELS, {SECONDS}, 1_024)
"""
"""Run by each process as it starts: decoders that fail as those of real libraries did."""


@pytest.fixture(scope="module")
def good(small_workspace):
    return (small_workspace.scans / "0.png").read_bytes()


@pytest.fixture(scope="module")
def command(small_workspace, tmp_path_factory):
    """The command `serve`, in a process of its own."""
    hooks = tmp_path_factory.mktemp("hooks")
    (hooks / "sitecustomize.py").write_text(POISON)
    words = ["serve", "--workspace", str(small_workspace.root), "--port", "0", "--workers", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "mnist_pipeline", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(hooks)},
    ) as process:
        url = process.stdout.readline().strip()
        with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
            yield Served(url, client)
        assert process.poll() is None, "it has gone on all the time"
        process.terminate()
        process.stdout.read()


def encoded(kind):
    out = io.BytesIO()
    Image.fromarray(np.full((30, 30), 99, np.uint8)).save(out, kind)
    return out.getvalue()


IMAGE = png(np.arange(784, dtype=np.uint8).reshape(28, 28))
IMAGES = {
    "text": (b"seven", 415, "not an image: none of PNG, JPEG"),
    "a web page": (b"<!doctype html><p>404", 415, "not an image"),
    "a drawing that is a program": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\nshowpage\n",
        415,
        "not an image",
    ),
    "a drawing with links": (
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        415,
        "not",
    ),
    "a document": (encoded("PDF"), 415, "not an image"),
    "nothing": (b"", 400, "empty: holds no bytes"),
    "a beginning": (IMAGE[:-40], 400, "corrupt: "),
    "a header alone": (IMAGE[:20], 400, "corrupt: "),
    "a flipped bit": (IMAGE[:-20] + bytes([IMAGE[-20] ^ 255]) + IMAGE[-19:], 400, "corrupt: "),
    "a decompression bomb": (bomb(30_000), 413, "too large: 30,000 x 30,000 pixels; at most 100,000,000"),
    "what kills its decoder": (IMAGE + b"crash", 400, "crashed: brought 2 workers down"),
    "what hangs its decoder": (IMAGE + b"hang", 400, f"timed out: took more than {SECONDS} s"),
    "what eats memory": (IMAGE + b"memory", 413, "too large: needs more memory than a worker may use"),
    "more than a request may hold": (bytes(16_000_001), 413, "the request is larger than 16,000,000 bytes"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_body_that_is_no_good_image_gets_its_status_and_one_sentence(command, good, name):
    body, status, sentence = IMAGES[name]
    answer = command.classify(body)
    assert (answer.status_code, answer.json()["error"][: len(sentence)]) == (status, sentence)
    assert "\n" not in answer.json()["error"]
    assert command.classify(good).json()["status"] == "ok"


def test_in_a_form_each_image_has_its_own_sentence(command, good):
    chosen = [name for name in IMAGES if IMAGES[name][1] != 413]
    files = [("a", (name, IMAGES[name][0])) for name in chosen]
    answer = command.client.post("/v1/classify", files=[*files, ("a", ("good", good))])
    assert answer.status_code == 200
    *bad, last = answer.json()["images"]
    assert [(row["path"], row["error"].startswith(IMAGES[name][2])) for row, name in zip(bad, chosen, strict=True)] == [
        (name, True) for name in chosen
    ]
    assert (last["path"], last["status"]) == ("good", "ok")


def test_decoders_that_die_or_hang_take_no_request_of_others_along(command, good):
    expected = command.classify(good).text
    with ThreadPoolExecutor(12) as clients:
        poisoned = [clients.submit(command.classify, IMAGE + end) for end in (b"hang", b"crash", b"crash", b"memory")]
        others = [clients.submit(command.classify, good) for _ in range(60)]
        assert {one.result().text for one in others} == {expected}
        assert [one.result().json()["reason"] for one in poisoned] == ["timed out", "crashed", "crashed", "too large"]


HOST = b"Host: localhost\r\n"
NOT_HTTP = "Invalid HTTP request received."
NO_FILE = "the form holds no file; send each image as a part with a filename"
INVALID = "Invalid multipart data."
NO_NAME = 'The Content-Disposition header field "name" must be provided.'
CHARSET = "the names of the form cannot be read in the charset that it states"
FILE = b'Content-Disposition: form-data; name="a"; filename="1.png"'
TYPE = b"multipart/form-data; boundary=x"


def post(*headers, body=IMAGE, length=None):
    stated = len(body) if length is None else length
    lines = [b"POST /v1/classify HTTP/1.1", *headers, b"Content-Length: %s" % str(stated).encode(), b"", body]
    return b"\r\n".join(lines)


def chunked(*parts):
    return post(b"Host: localhost", b"Transfer-Encoding: chunked", body=b"").replace(b"Content-Length: 0\r\n", b"") + (
        b"".join(parts)
    )


def form(head=FILE, *, kind=TYPE, body=None, end=b"\r\n--x--\r\n"):
    whole = b"--x\r\n" + head + b"\r\n\r\n" + IMAGE + end if body is None else body
    return post(b"Host: localhost", b"Content-Type: " + kind, body=whole)


def named(name, charset):
    return form(FILE.replace(b"1.png", name), kind=TYPE + b"; charset=" + charset)


REQUESTS = {
    "no host": (post(), 400, NOT_HTTP),
    "two hosts": (post(b"Host: localhost", b"Host: localhost"), 400, NOT_HTTP),
    "a foreign host": (post(b"Host: rebound.example"), 400, "this server is not called 'rebound.example'"),
    "no host as long ago": (post().replace(b"1.1", b"1.0"), 400, "this server is not called ''"),
    "a length below zero": (post(b"Host: localhost", length=-1), 400, NOT_HTTP),
    "a length in words": (post(b"Host: localhost", length="many"), 400, NOT_HTTP),
    "a length of 5,000 figures": (post(b"Host: localhost", length="9" * 5_000), 400, NOT_HTTP),
    "a length beyond all limits": (
        post(b"Host: localhost", length=10**19),
        413,
        "the request is larger than 16,000,000",
    ),
    "two lengths": (post(b"Host: localhost", b"Content-Length: 5"), 400, NOT_HTTP),
    "a length that is too short": (post(b"Host: localhost", length=20), 400, "corrupt: "),
    "no length": (post(b"Host: localhost", length=0), 400, "empty: holds no bytes"),
    "an unknown coding": (post(b"Host: localhost", b"Transfer-Encoding: gzip"), 400, NOT_HTTP),
    "a broken chunk": (chunked(b"zz\r\n", IMAGE), 400, NOT_HTTP),
    "chunks without end": (
        chunked(*repeat(b"10000\r\n" + bytes(65_536) + b"\r\n", 977)),
        413,
        "the request is larger",
    ),
    "bytes in a header": (post(b"Host: localhost", b"X: \0\xff"), 400, NOT_HTTP),
    "a greeting of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), 400, NOT_HTTP),
    "a form without boundary": (form(kind=b"multipart/form-data"), 400, "Missing boundary in multipart."),
    "a form with another boundary": (form(kind=b"multipart/form-data; boundary=y"), 400, INVALID),
    "a form that ends early": (form(end=b""), 400, NO_FILE),
    "an empty form": (form(body=b""), 400, NO_FILE),
    "a form of any bytes": (form(body=bytes(range(256)) * 9), 400, INVALID),
    "a part without headers": (form(b""), 400, NO_NAME),
    "a part without name": (form(FILE.replace(b'name="a"; ', b"")), 400, NO_NAME),
    "a field in place of a file": (form(FILE.replace(b'; filename="1.png"', b"")), 400, NO_FILE),
    "a header of a part without end": (form(FILE + b"a" * 70_000), 400, INVALID),
    "half a character in a name": (named(rb"\ud800", b"unicode_escape"), 400, CHARSET),
    "a name in another form of it": (named(b"+2AA-", b"utf-7"), 400, CHARSET),
    "a name in a charset that is none": (named(b"x", b"undefined"), 400, CHARSET),
}


def asked(server, request):
    """Status and body of the answer to bytes on a connection of their own."""
    with server.connect() as connection, HTTPResponse(connection) as answer:
        connection.sendall(request)
        answer.begin()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_is_none_gets_its_status_and_one_sentence(command, good, name):
    request, status, sentence = REQUESTS[name]
    found, body = asked(command, request)
    assert found == status, body
    assert sentence in body.replace("\\", "")
    assert command.classify(good).json()["status"] == "ok"


def test_bodies_that_come_slowly_are_given_up_and_hold_up_nobody(small_workspace, good, monkeypatch):
    monkeypatch.setattr("mnist_pipeline.web.interface.BODY_SECONDS", 2.0)
    begun = post(b"Host: localhost", body=b"begun", length=1_000)
    with served(small_workspace.root) as running, ThreadPoolExecutor(20) as slow:
        answers = [slow.submit(asked, running, begun) for _ in range(20)]
        while not all(answer.done() for answer in answers):
            assert running.classify(good).json()["status"] == "ok"
        assert {answer.result()[0] for answer in answers} == {408}
        assert "the request did not arrive within 2 s" in answers[0].result()[1]


def test_connections_on_which_nothing_is_asked_hold_up_nobody(command, good):
    idle = [command.connect() for _ in range(200)]
    try:
        for connection in idle:
            connection.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: loc")
        assert command.classify(good).json()["status"] == "ok"
    finally:
        for connection in idle:
            connection.close()
