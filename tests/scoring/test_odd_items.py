"""Whatever one image, its name or its time is, it costs its own row at most; and changes are noticed."""

import json
import os
import shutil
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnist_pipeline.files.object_store import ObjectFolder, parse_url
from mnist_pipeline.imaging.errors import ImageError
from mnist_pipeline.scoring.config import ScoreConfig
from mnist_pipeline.scoring.score import score_folder
from mnist_pipeline.scoring.sources.listing import Skipped
from mnist_pipeline.scoring.sources.objects import ObjectReader, list_keys
from mnist_pipeline.scoring.sources.reading import SIGNATURE, signature_of
from mnist_pipeline.scoring.writers import parse_path
from tests.support.images import png

POSIX = pytest.mark.skipif(os.name != "posix", reason="names are bytes")
CONFIG = ScoreConfig(workers=1, min_confidence=0)
RESUME = CONFIG.model_copy(update={"resume": True})
SECOND = 1_000_000_000
FAR = [-11_644_473_600, -62_135_596_800, -1, 0, 13_569_465_600, 253_402_300_799]
"""1601, the year 1, just before 1970, 1970, 2400 and 9999, in seconds."""

names = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from(
        [b"n" * 255, b"\xff" * 255, b"a\nb", b"a\rb", b"\\x41", b"\\", b" ", b"-", b"=1+1", b"\xed\xb3\xbf"]
    ),
).filter(lambda name: not name.startswith(b".") and not set(name) & {0, ord("/")})
times = st.one_of(st.sampled_from(FAR), st.integers(-(2**40), 2**40))
contents = st.sampled_from(["digit", "cut", "empty", "byte", "garbage"])
items = st.dictionaries(names, st.tuples(times, contents), min_size=1, max_size=12)


@contextmanager
def roomy_folder() -> Iterator[Path]:
    """In memory where that can be: there a file may have any time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as root:
        yield Path(root)


def path_of(folder: Path, name: bytes) -> bytes:
    return os.fsencode(folder) + b"/" + name


def fill(folder: Path, chosen: dict[bytes, tuple[int, str]], digit: bytes) -> None:
    made = {
        "digit": digit,
        "cut": digit[: len(digit) // 2],
        "empty": b"",
        "byte": b"\x89",
        "garbage": bytes(range(256)),
    }
    folder.mkdir()
    for name, (seconds, content) in chosen.items():
        Path(os.fsdecode(path_of(folder, name))).write_bytes(made[content])
        os.utime(path_of(folder, name), ns=(0, seconds * SECOND + 1))


def rows_of(output: Path) -> dict[bytes, dict[str, object]]:
    return {parse_path(row["path"]): row for row in map(json.loads, output.read_bytes().split(b"\n")[:-1])}


@POSIX
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items)
def test_hostile_files_cost_their_own_rows_and_changes_are_noticed(model, digits, chosen):
    with roomy_folder() as root:
        folder, output = root / "images", root / "out.jsonl"
        fill(folder, chosen, png(digits.images[0]))
        summary = score_folder(CONFIG, folder, output, model.path, model.sha256)
        rows = rows_of(output)
        assert list(rows) == sorted(chosen)
        assert {name: row["status"] for name, row in rows.items()} == {
            name: "ok" if content == "digit" else "error" for name, (_, content) in chosen.items()
        }
        assert score_folder(RESUME, folder, output, model.path, model.sha256) == summary
        touched = min(chosen)
        Path(os.fsdecode(path_of(folder, touched))).write_bytes(png(digits.images[1]))
        os.utime(path_of(folder, touched), ns=(0, 7 * SECOND))
        again = score_folder(RESUME, folder, output, model.path, model.sha256)
        assert again.signatures_sha256 != summary.signatures_sha256
        assert rows_of(output)[touched]["status"] == "ok"


@given(st.integers(), st.integers(0, 2**63 - 1))
def test_any_time_fits_into_a_row_and_is_never_that_of_no_file(nanoseconds, size):
    class Status:
        st_size, st_mtime_ns = size, nanoseconds

    found = signature_of(Status())
    assert SIGNATURE.unpack(SIGNATURE.pack(*found)) == found != (0, 0)
    if -(2**63) <= nanoseconds < 2**63 and (nanoseconds or size):
        assert found == (size, nanoseconds)


@POSIX
def test_a_file_of_the_year_2400_is_scored_and_one_of_its_own_nanoseconds_is_a_change(model, make_folder):
    with roomy_folder() as root:
        folder = Path(shutil.copytree(make_folder(3), root / "images"))
        old = min(folder.rglob("*.png"))
        os.utime(old, ns=(0, 13_569_465_600 * SECOND))
        score_folder(CONFIG, folder, root / "out.csv", model.path, model.sha256)
        first = (root / "out.csv").stat().st_mtime_ns
        assert score_folder(RESUME, folder, root / "out.csv", model.path, model.sha256).ok == 3
        assert (root / "out.csv").stat().st_mtime_ns == first
        os.utime(old, ns=(0, 13_569_465_600 * SECOND + 1))
        score_folder(RESUME, folder, root / "out.csv", model.path, model.sha256)
        assert (root / "out.csv").stat().st_mtime_ns != first


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_folders_and_outputs_that_are_not_utf8_work_like_others(score, make_folder, tmp_path, ending):
    folder = make_folder(2).rename(tmp_path / os.fsdecode(b"scans \xff"))
    (folder / os.fsdecode(b"\xfe.png")).write_bytes(b"")
    output, page = tmp_path / os.fsdecode(b"rows \xe4." + ending.encode()), tmp_path / os.fsdecode(b"page \xe4.html")
    wanted = [folder, "-o", output, "--report", page]
    score(*wanted)
    score(*wanted, "--resume", "--json", "-v")
    manifest = json.loads((tmp_path / os.fsdecode(b"rows \xe4." + ending.encode() + b".manifest.json")).read_text())
    assert manifest["output"] == rf"rows \xe4.{ending}"
    assert manifest["location"].endswith(r"scans \xff")
    assert manifest["first_errors"][0]["path"] == r"\xfe.png"
    assert r"scans \xff; output rows \xe4" in page.read_text()
    assert r"\xe4" in score.refused(*wanted) or r"\udce4" in score.refused(*wanted)


# Object stores


@pytest.fixture
def bucket(object_server, monkeypatch):
    """Puts objects with any key, which obstore cannot."""
    boto3 = pytest.importorskip("boto3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.endpoint)
    client = boto3.client("s3", endpoint_url=object_server.endpoint)

    def put(key: str, body: bytes, kind: str = "binary/octet-stream") -> None:
        client.put_object(Bucket="bucket", Key=key, Body=body, ContentType=kind)

    return put


ODD_KEYS = [
    "/lead.png",
    "a//b.png",
    "c///d.png",
    "full/",
    "tab\t.png",
    "ü ß.png",
    "plus+%20.png",
    "q?x#y&z=1.png",
    "'~*().png",
]


def test_every_key_is_a_row_and_markers_are_none(score, bucket, digits, tmp_path):
    place = "Meine Scans/Büro 1"
    image = png(digits.images[0])
    for key in [*ODD_KEYS, "plain.png"]:
        bucket(f"{place}/{key}", image)
    bucket(f"{place}/empty.png", b"")
    for key in ("", "scans/", "typed/", "old_$folder$"):
        bucket(f"{place}/{key}", b"")
    bucket(f"{place}/typed", b"", "application/x-directory")
    bucket(f"{place}/.hidden/x.png", image)
    bucket(f"{place}/dots/../up.png", image)
    output = tmp_path / "out.jsonl"
    score(f"s3://bucket/{place}", "-o", output)
    rows = rows_of(output)
    expected = dict.fromkeys([*ODD_KEYS, "plain.png"], "ok") | {"empty.png": "error"}
    assert {name.decode(): row["status"] for name, row in rows.items()} == expected
    manifest = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert manifest["skipped"] == {"folder marker": 5, "hidden": 2}
    before = output.stat().st_mtime_ns
    score(f"s3://bucket/{place}", "-o", output, "--resume")
    assert output.stat().st_mtime_ns == before
    bucket(f"{place}/a//b.png", png(digits.images[1]))
    score(f"s3://bucket/{place}", "-o", output, "--resume")
    assert output.stat().st_mtime_ns != before


def test_one_odd_key_among_several_pages_costs_none_of_the_others(bucket, object_server, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # a page
    place = ObjectFolder("s3://bucket/pages")
    for number in range(33):
        place.put(f"{number:04d}.png", b"x")
    bucket("pages/0020//x.png", b"x")
    bucket("pages/dir/", b"")
    skipped = Skipped()
    found = list(list_keys("s3://bucket/pages", skipped))
    assert sorted(found) == sorted([b"%04d.png" % number for number in range(33)] + [b"0020//x.png"])
    assert skipped.entries == {"folder marker": 1}


def test_an_object_that_is_too_large_is_not_read(bucket, object_server):
    bucket("large/plain.png", bytes(5_000))
    bucket("large/odd//x.png", bytes(5_000))
    reader = ObjectReader("s3://bucket/large", 1_000)
    for name in (b"plain.png", b"odd//x.png"):
        with pytest.raises(ImageError, match="5,000 bytes; at most 1,000 are read"):
            reader.read(name)
        assert ObjectFolder("s3://bucket/large").get(name.decode(), most=1_000).data == b""
    with pytest.raises(ImageError, match="is not there any more"):
        reader.read(b"odd//gone.png")
    assert reader.signature(b"odd//gone.png") is None
    with pytest.raises(ImageError, match="no address leads to the key"):
        reader.read(b"a/../b.png")


@pytest.mark.parametrize("key", ["", "a//b ü+~*'(%20.png"])
def test_addresses_of_odd_keys_are_signed_as_the_store_wants_it(object_server, monkeypatch, key):
    """By botocore's own signature of the same request at the same time."""
    auth, requests = pytest.importorskip("botocore.auth"), pytest.importorskip("botocore.awsrequest")
    credentials = pytest.importorskip("botocore.credentials").Credentials("test", "test")
    from mnist_pipeline.files.object_requests import sign, target_of

    monkeypatch.setenv("AWS_ENDPOINT_URL", object_server.endpoint)
    url = sign("GET", target_of("bucket", key, {} if key else {"prefix": "Bü+&=/", "list-type": "2"}))
    ours = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    date = ours["X-Amz-Date"]
    request = requests.AWSRequest("GET", url.partition("&X-Amz-Algorithm")[0])
    theirs = auth.S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=int(ours["X-Amz-Expires"]))
    request.context["timestamp"] = date
    theirs._modify_request_before_signing(request)
    signature = theirs.signature(theirs.string_to_sign(request, theirs.canonical_request(request)), request)
    assert ours["X-Amz-Signature"] == signature


@pytest.mark.parametrize("url", ["s3://bucket/a//b", "s3://bucket/../x", "s3://BUCKET/x", "gs://bucket/x"])
def test_a_prefix_that_leads_nowhere_is_refused_in_one_line(score, tmp_path, url):
    said = score.refused(url, "-o", tmp_path / "out.csv", "-q")
    assert said == f"{url!r} is not a place in an object store; use s3://bucket/prefix"
    assert list(tmp_path.iterdir()) == []


def test_names_of_registries_stay_strict():
    from mnist_pipeline.errors import UsageError

    for url in ("s3://bucket/with space", "s3://bucket/ü", "s3://bucket/a//b", "s3://bucket/a?b"):
        with pytest.raises(UsageError, match="use s3://bucket/prefix"):
            parse_url(url)
    assert parse_url("s3://bucket/with space/ü/", any_name=True) == ("bucket", "with space/ü")
