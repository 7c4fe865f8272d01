"""POST /v1/classify: the rows of `score`, and one sentence for what cannot be answered."""

import base64
import io
import json
import socket
from contextlib import closing

import jsonschema
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.web.server import listen
from tests.support.served import served


def encoded(image, kind="PNG"):
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind)
    return out.getvalue()


@pytest.fixture
def images(small_workspace, tmp_path):
    """A folder of images as people bring them, good and bad."""
    folder = tmp_path / "images"
    folder.mkdir()
    for path in sorted(small_workspace.scans.iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
    digit = np.asarray(Image.open(folder / "3.png"))
    (folder / "on paper ü.png").write_bytes(encoded(255 - np.kron(digit, np.ones((9, 9), np.uint8))))
    (folder / "photo.jpg").write_bytes(encoded(255 - np.pad(np.kron(digit, np.ones((20, 20), np.uint8)), 99), "JPEG"))
    (folder / "blank.png").write_bytes(encoded(np.full((60, 80), 230, np.uint8)))
    (folder / "cut.png").write_bytes((folder / "1.png").read_bytes()[:-40])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no image")
    return folder


@pytest.fixture
def rows(images, small_workspace, tmp_path):
    """Name -> the line that `score` writes."""
    output = tmp_path / "rows.jsonl"
    words = ["score", images, "--output", output, "--workspace", small_workspace.root, "--probabilities"]
    done = CliRunner().invoke(app, [*map(str, words), "--workers", "1"])
    assert done.exit_code == 0, done.output
    return {json.loads(line)["path"]: line for line in output.read_text().splitlines()}


def test_an_answer_begins_with_the_very_line_that_score_writes(server, small_workspace, images, rows):
    assert len(rows) == 14
    for name, line in rows.items():
        response = server.classify((images / name).read_bytes(), name)
        beginning = line.removesuffix("}")
        assert response.text.startswith(beginning)
        more = json.loads("{" + response.text.removeprefix(f"{beginning}, "))
        assert more == {"novelty": None, "model": "digits", "version": small_workspace.version}


def test_a_form_with_several_files_gets_an_answer_for_each_in_its_order(server, small_workspace, images, rows):
    names = sorted(rows, reverse=True)
    files = [("file", (name, (images / name).read_bytes())) for name in names]
    response = server.client.post("/v1/classify", files=files)
    assert response.status_code == 200
    found = response.json()
    assert (found["model"], found["version"]) == ("digits", small_workspace.version)
    assert [{**answer, "path": name} for answer, name in zip(found["images"], names, strict=True)] == [
        {**json.loads(rows[name]), "novelty": None} for name in names
    ]
    assert [answer["path"] for answer in found["images"]] == names


REFUSED = [
    ({"content": b"no image"}, 415, "not an image: none of PNG, JPEG, BMP, TIFF, WEBP, GIF by its content"),
    ({"content": b""}, 400, "empty: holds no bytes"),
    ({"content": encoded(np.zeros((20, 20), np.uint8))[:-30]}, 400, "corrupt: "),
    ({"content": b"\0" * 300_000}, 413, "the request is larger than 200,000 bytes; send smaller or fewer images"),
    ({"content": encoded(np.zeros((1, 2_000), np.uint8))}, 413, "too large: 2,000 x 1 pixels; at most 1,000 are"),
    ({"files": {"a": ("", b"")}}, 400, "the form holds no file; send each image as a part with a filename"),
    ({"files": [("a", ("1.png", b"x"))] * 101}, 400, "Too many files. Maximum number of files is 100."),
    ({"data": {"a": "b"}, "headers": {"content-type": "multipart/form-data"}}, 400, "Missing boundary in multipart."),
]


@pytest.fixture(scope="module")
def narrow(small_workspace):
    """A server with narrow limits."""
    from mnist_pipeline.web.worker import Limits

    with served(small_workspace.root, max_bytes=200_000, limits=Limits(pixels=1_000)) as running:
        yield running


@pytest.mark.parametrize(("request_", "code", "sentence"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_cannot_be_answered_is_one_sentence(narrow, small_workspace, request_, code, sentence):
    response = narrow.client.post("/v1/classify", **request_)
    assert response.status_code == code, response.text
    assert response.json()["error"].startswith(sentence)
    assert "\n" not in response.json()["error"]
    good = narrow.classify((small_workspace.scans / "0.png").read_bytes())
    assert good.json()["status"] == "ok"


def test_other_methods_and_paths_are_refused_in_the_same_form(server):
    assert server.client.get("/v1/classify").status_code == 405
    response = server.client.get("/v1/nothing")
    assert (response.status_code, list(response.json())) == (404, ["error"])


def test_who_comes_when_all_places_are_taken_is_sent_away_and_may_come_again(small_workspace):
    data = (small_workspace.scans / "0.png").read_bytes()
    with served(small_workspace.root, places=1) as running:
        with running.connect() as slow:
            slow.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nbegun")
            while (response := running.classify(data)).status_code == 200:
                pass  # the other request has not arrived yet
            assert response.status_code == 429
            assert response.json() == {"error": "1 requests are being answered; try again"}
            assert response.headers["retry-after"] == "1"
        while (response := running.classify(data)).status_code == 429:
            pass  # nobody has noticed yet that the other one hung up
        assert response.json()["status"] == "ok"


def test_the_explanation_holds_the_picture_that_the_model_saw_and_the_reason_in_words(server, small_workspace, images):
    path = small_workspace.scans / "0.png"
    said = server.client.post("/v1/classify", params={"explain": 1}, content=path.read_bytes()).json()
    seen = np.frombuffer(base64.b64decode(said["seen"]), np.uint8).reshape(28, 28)
    assert (seen == np.asarray(Image.open(path))).all()
    blank = (images / "blank.png").read_bytes()
    said = server.client.post("/v1/classify", params={"explain": 1}, content=blank).json()
    assert (said["reason"], said["sentence"]) == ("blank", "there is no ink on it")
    assert base64.b64decode(said["seen"]) == bytes(784)


def test_health_and_metrics_tell_what_answers_and_how_often(small_workspace):
    data = (small_workspace.scans / "0.png").read_bytes()
    with served(small_workspace.root) as running:
        for body in (data, data, b"no image"):
            running.classify(body)
        expected = {"status": "ok", "model": "digits", "version": small_workspace.version, "problem": None}
        assert running.client.get("/health").json() == expected
        lines = running.client.get("/metrics").text.splitlines()
    assert 'mnist_pipeline_images_total{status="ok"} 2.0' in lines
    assert 'mnist_pipeline_images_total{status="error"} 1.0' in lines
    assert 'mnist_pipeline_requests_total{code="200"} 2.0' in lines
    assert 'mnist_pipeline_requests_total{code="415"} 1.0' in lines
    assert f'mnist_pipeline_model{{name="digits",version="{small_workspace.version}"}} 1.0' in lines
    assert "mnist_pipeline_request_seconds_count 3.0" in lines


def test_the_description_is_valid_and_every_answer_is_as_it_says(server, small_workspace):
    from openapi_spec_validator import validate

    document = server.client.get("/openapi.json").json()
    validate(document)
    good = (small_workspace.scans / "0.png").read_bytes()
    answers = [
        ("/v1/classify", "post", server.classify(good)),
        ("/v1/classify", "post", server.classify(b"no image")),
        ("/v1/classify", "post", server.client.post("/v1/classify", files={"a": ("1.png", good)})),
        ("/health", "get", server.client.get("/health")),
    ]
    for path, method, response in answers:
        described = document["paths"][path][method]["responses"][str(response.status_code)]
        schema = described["content"]["application/json"]["schema"]
        jsonschema.validate(response.json(), {**schema, "components": document["components"]})


def test_the_body_of_an_answer_does_not_wait_until_the_headers_are_acknowledged():
    with closing(listen("127.0.0.1", 0)) as listening, closing(socket.create_connection(listening.getsockname())):
        connection, _ = listening.accept()
        with closing(connection):
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
