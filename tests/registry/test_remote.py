import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mnist_pipeline.errors import IntegrityError, RegistryError, StorageError, UsageError
from mnist_pipeline.files.object_store import ObjectFolder, parse_url
from mnist_pipeline.registry import Registry, open_registry
from tests.support import ROOT, samples


@pytest.fixture
def server(object_server: Any) -> Any:
    object_server.gate.requests.clear()
    return object_server


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return f"s3://bucket/{name}"


@pytest.fixture
def remote(server: Any, url: str, tmp_path: Path, clock: Any) -> Registry:
    registry = open_registry(url, cache=tmp_path / "cache")
    return Registry(registry.storage, clock=clock)


@pytest.fixture
def elsewhere(server: Any, url: str, tmp_path: Path) -> Registry:
    """The same registry, seen from another machine."""
    return open_registry(url, cache=tmp_path / "elsewhere")


def test_what_one_machine_publishes_another_resolves(remote, elsewhere, tmp_path) -> None:
    one = samples.publish(remote, "mnist", tmp_path, 1)
    two = samples.publish(remote, "mnist", tmp_path, 2)
    remote.promote("mnist", one.version, reason="first", who="ada", expected=None)

    found = elsewhere.resolve("mnist")
    assert found.manifest == one.manifest
    assert found.path.read_bytes() == samples.model_bytes(1)
    assert found.path.is_relative_to(tmp_path / "elsewhere")
    assert {path.name for path in found.directory.iterdir()} == set(one.manifest.files)
    assert elsewhere.models() == ["mnist"]
    assert {row.version for row in elsewhere.versions("mnist")} == {one.version, two.version}
    assert elsewhere.history("mnist").aliases == {"champion": one.version}
    assert elsewhere.verify("mnist") == []
    with pytest.raises(RegistryError, match="ada moved it"):
        elsewhere.promote("mnist", two.version, reason="late", expected=None)
    elsewhere.promote("mnist", two.version, reason="better", expected=one.version)
    assert remote.rollback("mnist", reason="worse") == one.version


def test_a_manifest_appears_after_all_its_files(remote, tmp_path, server) -> None:
    published = samples.publish(remote, "mnist", tmp_path, 1)
    puts = [path for method, path in server.gate.requests if method == "PUT"]
    manifest = next(n for n, path in enumerate(puts) if path.endswith("/manifest.json"))
    files = [n for n, path in enumerate(puts) if "/files/" in path]
    assert len({puts[n] for n in files}) == len(published.manifest.files)
    assert max(files) < manifest
    assert puts.index(next(path for path in puts if path.endswith("/history.jsonl"))) > manifest


def test_the_model_is_validated_as_it_was_downloaded(remote, tmp_path, server) -> None:
    with remote.stage("mnist", samples.write_model(tmp_path, 1)) as stage:
        assert stage.model_path.read_bytes() == samples.model_bytes(1)
        assert stage.model_path.is_relative_to(tmp_path / "cache")
        assert server.gate.count("GET", "/model.onnx") == 1
        assert remote.versions("mnist") == []
    assert remote.versions("mnist") == []


def test_downloads_are_kept_by_digest(elsewhere, remote, tmp_path, server) -> None:
    samples.publish(remote, "mnist", tmp_path, 1)
    remote.promote("mnist", samples.content_version(1), reason="first")
    server.gate.requests.clear()
    path = elsewhere.resolve("mnist").path
    assert server.gate.count("GET", "/model.onnx") == 1
    elsewhere.resolve("mnist")
    assert server.gate.count("GET", "/model.onnx") == 1
    path.write_bytes(b"rot")
    assert elsewhere.resolve("mnist").path.read_bytes() == samples.model_bytes(1)
    assert server.gate.count("GET", "/model.onnx") == 2


def test_publishing_again_changes_nothing(remote, elsewhere, tmp_path) -> None:
    first = samples.publish(remote, "mnist", tmp_path, 1)
    assert samples.publish(elsewhere, "mnist", tmp_path, 1, who="other").manifest == first.manifest
    assert len(remote.history("mnist").changes) == 1
    assert remote.verify("mnist") == []


def test_changed_lost_and_foreign_objects_are_named(remote, elsewhere, tmp_path, server, url) -> None:
    published = samples.publish(remote, "mnist", tmp_path, 1)
    folder = f"mnist/{published.version}"
    objects = ObjectFolder(url)
    entry = published.manifest.files["report.html"]
    key = f"{folder}/files/{entry.sha256}/report.html"
    objects.put(key, b"<p>2</p>")
    assert [(f.file, f.problem.split(":")[0]) for f in remote.verify("mnist")] == [("report.html", "changed")]
    with pytest.raises(IntegrityError, match=r"report\.html"):
        elsewhere.resolve("mnist", published.version)
    objects.delete([key])
    assert [(f.file, f.problem) for f in remote.verify("mnist")] == [("report.html", "missing")]
    objects.put(key, b"<p>1</p>")
    objects.put(f"{folder}/files/notes.txt", b"?")
    assert [(f.file, f.problem.split(":")[0]) for f in remote.verify("mnist")] == [("files/notes.txt", "unexpected")]
    objects.put(f"{folder}/manifest.json", objects.get(f"{folder}/manifest.json").data.replace(b"0.98", b"0.99"))
    with pytest.raises(IntegrityError, match=r"manifest\.json"):
        elsewhere.resolve("mnist", published.version)


def test_prune_deletes_the_objects(remote, tmp_path, server, url, clock) -> None:
    for seed in range(3):
        clock.forward(minutes=1)
        samples.publish(remote, "mnist", tmp_path, seed)
    remote.promote("mnist", samples.content_version(0), reason="first")
    assert remote.prune("mnist", keep=1) == [samples.content_version(1)]
    keys = ObjectFolder(url).keys("mnist")
    assert not any(samples.content_version(1) in key for key in keys)
    assert remote.verify("mnist") == []


def test_a_registry_in_a_bucket_that_is_not_there_says_so(server, tmp_path) -> None:
    registry = open_registry("s3://no-such-bucket/models", cache=tmp_path / "cache")
    with pytest.raises(StorageError, match=r"NoSuchBucket \(The specified bucket does not exist\); check bucket"):
        samples.publish(registry, "mnist", tmp_path, 1)


def test_a_server_that_is_not_there_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mnist_pipeline.files.object_client.RETRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    registry = open_registry("s3://bucket/models", cache=tmp_path)
    with pytest.raises(StorageError, match=r"s3://bucket/models: .*127\.0\.0\.1:9.*; check AWS_END") as error:
        registry.versions("mnist")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3://B", "s3://bucket/../x", "s3://bucket/a//b", "s3://bucket/a?b", "s3://me:x@bucket/a", "gs://bucket"],
)
def test_malformed_urls_are_usage_errors(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        open_registry(url, cache=tmp_path)


def test_a_url_is_a_bucket_and_a_prefix() -> None:
    assert parse_url("s3://bucket") == ("bucket", "")
    assert parse_url("s3://my.bucket-1/a/b_c/") == ("my.bucket-1", "a/b_c")


def test_a_cache_that_cannot_be_written_is_named(remote, elsewhere, tmp_path) -> None:
    published = samples.publish(remote, "mnist", tmp_path, 1)
    (tmp_path / "elsewhere").write_text("a file is in the way")
    with pytest.raises(
        RegistryError, match=r"^cannot keep .*/elsewhere/.*; name a folder .* with --workspace$"
    ) as caught:
        elsewhere.resolve("mnist", published.version)
    assert "\n" not in str(caught.value)
    assert elsewhere.manifest("mnist", published.version) == published.manifest  # reading needs no cache


def test_a_bucket_that_is_not_there_is_no_empty_registry(server, tmp_path) -> None:
    with pytest.raises(StorageError, match=r"NoSuchBucket"):
        open_registry("s3://no-such-bucket/models", cache=tmp_path).history("mnist")


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    assert open_registry(str(tmp_path / "models"), cache=tmp_path).storage.location == str(tmp_path / "models")


WRITER = """
import sys
from pathlib import Path
from mnist_pipeline.registry import open_registry
from tests.support import samples
url, folder, seed = sys.argv[1:]
registry = open_registry(url, cache=Path(folder) / f"cache-{seed}")
model = samples.write_model(Path(folder), int(seed))
sys.stdin.readline()
version = samples.publish(registry, "mnist", Path(folder), int(seed)).version
registry.promote("mnist", version, reason="race", who=seed)
"""


def test_writers_on_several_machines_lose_nothing(remote, server, url, tmp_path) -> None:
    command = [sys.executable, "-c", WRITER, url, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, text=True, cwd=ROOT) for n in (1, 2, 3, 3)]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=300)
    assert [writer.returncode for writer in writers] == [0] * 4

    changes = remote.history("mnist").changes
    assert sorted(c.after for c in changes if c.action == "publish") == sorted(map(samples.content_version, (1, 2, 3)))
    promotions = [c for c in changes if c.action == "promote"]
    assert {c.who for c in promotions} == {"1", "2", "3"}
    assert [c.before for c in promotions] == [None, *(c.after for c in promotions[:-1])]
    assert remote.champion("mnist") == promotions[-1].after
    assert remote.verify("mnist") == []
    aliases = ObjectFolder(url).get("mnist/aliases.json")
    assert json.loads(aliases.data) == {"champion": promotions[-1].after}


def test_a_conflict_is_tried_again(remote, tmp_path, server) -> None:
    server.gate.conflicts = 2
    published = samples.publish(remote, "mnist", tmp_path, 1)
    server.gate.conflicts = 3
    assert remote.promote("mnist", published.version, reason="first") == published.version
    assert server.gate.conflicts == 0
    assert [c.action for c in remote.history("mnist").changes] == ["publish", "promote"]


def test_a_write_whose_answer_is_lost_is_not_done_twice(remote, tmp_path, server, clock) -> None:
    server.gate.lost_answers = 1
    versions = []
    for seed in (1, 2, 3):
        versions.append(samples.publish(remote, "mnist", tmp_path, seed).version)
        remote.promote("mnist", versions[-1], reason="better")
    server.gate.lost_answers = 1
    assert remote.rollback("mnist", reason="worse") == versions[1]
    assert server.gate.lost_answers == 0
    assert remote.champion("mnist") == versions[1]
    assert [c.action for c in remote.history("mnist").changes] == ["publish", "promote"] * 3 + ["rollback"]
    assert remote.verify("mnist") == []


def test_a_connection_cut_at_any_write_leaves_whole_versions_and_the_next_run_finishes(
    remote, elsewhere, tmp_path, server, clock, monkeypatch
) -> None:
    def run(seed: int) -> None:
        version = samples.publish(remote, "mnist", tmp_path, seed).version
        remote.promote("mnist", version, reason=f"run {seed}")

    run(0)
    server.gate.requests.clear()
    run(1)
    writes = sum(method != "GET" for method, _ in server.gate.requests)
    monkeypatch.setattr("mnist_pipeline.files.object_client.RETRIES", 0)
    impatient = open_registry(remote.storage.location, cache=tmp_path / "cut")
    for point in range(writes):
        seed, champion = 2 + point, remote.champion("mnist")
        server.gate.writes_left = point
        with pytest.raises(StorageError, match="503"):
            version = samples.publish(impatient, "mnist", tmp_path, seed).version
            impatient.promote("mnist", version, reason=f"run {seed}")
            raise StorageError("only aliases.json is behind, 503")  # written after the promotion counts
        server.gate.writes_left = None
        assert [finding for finding in elsewhere.verify("mnist") if finding.version] == []
        assert elsewhere.resolve("mnist").version in {champion, samples.content_version(seed)}
        run(seed)
        assert elsewhere.resolve("mnist").version == samples.content_version(seed)
        assert elsewhere.verify("mnist") == []
    actions = [change.action for change in remote.history("mnist").changes]
    assert actions == ["publish", "promote"] * (writes + 2)
