"""What the registry promises when processes die, disks fill, bytes rot and names attack."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_pipeline.errors import IntegrityError, PipelineError, RegistryError, UsageError
from mnist_pipeline.registry import Registry
from tests.support import ROOT, registry_worker, samples

MODEL = "mnist"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the worker forks")


def start(action: str, root: Path, *arguments: Any) -> "subprocess.Popen[str]":
    texts = [str(a) if isinstance(a, Path) else json.dumps(a) for a in arguments]
    command = [sys.executable, "-m", "tests.support.registry_worker", action, str(root), *texts]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return {**json.loads(out), "stderr": err}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_kill_9_anywhere_leaves_whole_versions_and_the_next_run_finishes(root: Path, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    reader = start("read", root, stop)
    crashed = finish(start("crash", root, 50))
    stop.touch()
    seen = finish(reader)

    assert crashed["problems"] == []
    assert crashed["killed"] == 50
    assert crashed["points"] > 100
    assert seen["problems"] == []
    assert seen["rounds"] > 0
    actions = [change.action for change in Registry(root).history(MODEL).changes]
    assert actions.count("publish") == 52
    assert actions.count("promote") == 52


def test_kill_9_while_pruning_leaves_whole_versions_and_the_next_prune_finishes(root: Path) -> None:
    crashed = finish(start("crash_prune", root, 21))
    assert crashed["problems"] == []
    assert crashed["killed"] == 20


def test_sixteen_writers_at_once_lose_nothing(root: Path) -> None:
    assert finish(start("crowd", root, list(range(16))))["codes"] == [0] * 16

    registry = Registry(root)
    changes = registry.history(MODEL).changes
    assert len({c.after for c in changes if c.action == "publish"}) == 16
    promotions = [c for c in changes if c.action == "promote"]
    assert sorted(c.who for c in promotions) == sorted(f"worker {seed}" for seed in range(16))
    assert [c.before for c in promotions] == [None, *(c.after for c in promotions[:-1])]
    assert registry.champion(MODEL) == promotions[-1].after
    assert len(changes) == 32
    assert registry.verify(MODEL) == []


def test_of_publishers_of_the_same_version_exactly_one_wins(root: Path) -> None:
    assert finish(start("crowd", root, [7] * 8))["codes"] == [0] * 8
    assert [c.action for c in Registry(root).history(MODEL).changes] == ["publish", "promote"]
    assert Registry(root).verify(MODEL) == []


def test_a_retry_after_success_makes_no_second_version(root: Path) -> None:
    first = registry_worker.work(root, 3)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert registry_worker.work(root, 3) == first
    assert {path: path.read_bytes() for path in before} == before
    assert len(Registry(root).versions(MODEL)) == 1
    assert len(Registry(root).history(MODEL).changes) == 2


def test_a_stage_of_a_living_process_is_left_alone_and_one_of_a_dead_process_is_deleted(root: Path) -> None:
    maker = start("abandoned", root, 1)
    assert maker.stdout
    stage = root / MODEL / maker.stdout.readline().strip()
    registry_worker.work(root, 2)
    assert (stage / "model.onnx").is_file()

    maker.kill()
    maker.communicate()
    registry_worker.work(root, 3)
    assert list((root / MODEL).glob(".stage-*")) == []


def serves(root: Path, version: str) -> bool:
    registry = Registry(root)
    return registry.resolve(MODEL).version == version and registry.verify(MODEL) == []


def test_a_file_that_cannot_be_written_fails_cleanly(root: Path) -> None:
    registry_worker.work(root, 1)
    failed = finish(start("limited", root, [0, 100, 4_096, 30_000], 1, 2))
    assert failed["codes"] == [1, 1, 1, 1]
    assert failed["problems"] == [[], [], [], []]
    assert failed["stderr"].count("what was published before is untouched") == 4
    assert "Traceback" not in failed["stderr"]
    assert serves(root, registry_worker.work(root, 2))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_at_any_moment_keeps_the_old_version_served(small_disk: Path) -> None:
    root = small_disk / "models"
    champion = registry_worker.work(root, 1)
    (small_disk / "candidate-1.onnx").unlink()
    candidate = samples.write_model(root.parent, 2)
    registry = Registry(root)
    filler = small_disk / "filler"

    def run() -> str:
        try:
            with registry.stage(MODEL, candidate) as stage:
                stage.add("evaluation.json", samples.evaluation())
                version = registry.commit(stage, samples.facts()).version
            return registry.promote(MODEL, version, reason="better")
        except RegistryError as error:
            return str(error)

    refused = 0
    for free in range(0, 100_000, 4_096):
        filler.write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - free)))
        outcome = run()
        filler.unlink()
        if outcome == samples.content_version(2):
            break
        refused += 1
        assert "No space left on device" in outcome
        assert registry.resolve(MODEL).version == champion
    assert refused > 3
    registry.promote(MODEL, samples.content_version(2), reason="with room again")  # aliases.json follows
    assert serves(root, samples.content_version(2))


def test_verify_names_every_file_whose_bytes_changed_and_resolve_refuses_it(root: Path) -> None:
    registry_worker.work(root, 1)
    registry = Registry(root)
    published = registry.resolve(MODEL)
    chance = random.Random(1)
    for path in sorted(published.directory.iterdir()):
        data = path.read_bytes()
        for position in {0, len(data) - 1, *(chance.randrange(len(data)) for _ in range(12))}:
            flipped = bytearray(data)
            flipped[position] ^= 1 << chance.randrange(8)
            path.write_bytes(flipped)
            assert [finding.file for finding in registry.verify(MODEL)] == [path.name], position
            with pytest.raises(IntegrityError, match=path.name.replace(".", r"\.")):
                registry.resolve(MODEL)
        path.write_bytes(data)
    assert registry.verify(MODEL) == []


def test_a_changed_byte_of_the_history_or_the_aliases_is_named(root: Path) -> None:
    registry_worker.work(root, 1)
    registry = Registry(root)
    for name in ("history.jsonl", "aliases.json"):
        path = root / MODEL / name
        data = path.read_bytes()
        for position in range(0, len(data) - 1, 7):
            flipped = bytearray(data)
            flipped[position] ^= 1
            path.write_bytes(flipped)
            assert [finding.file for finding in registry.verify(MODEL)] == [name], position
        path.write_bytes(data)


def test_missing_extra_and_swapped_files_are_named(root: Path) -> None:
    registry_worker.work(root, 1)
    registry_worker.work(root, 2)
    registry = Registry(root)
    one, two = (registry.resolve(MODEL, samples.content_version(seed)) for seed in (1, 2))

    (one.directory / "report.html").unlink()
    (one.directory / "notes.txt").write_text("new")
    shutil.copy(one.path, two.path)
    found = {(finding.version, finding.file, finding.problem.split(":")[0]) for finding in registry.verify(MODEL)}
    assert found == {
        (one.version, "report.html", "missing"),
        (one.version, "notes.txt", "unexpected"),
        (two.version, "model.onnx", "changed"),
    }
    shutil.copy(one.directory / "manifest.json", two.directory)
    assert [f.file for f in registry.verify(MODEL, two.version)] == ["manifest.json"]
    shutil.rmtree(two.directory)
    assert [(f.file, f.problem) for f in registry.verify(MODEL, two.version)] == [("manifest.json", "missing")]


# Strings of CVE-2023-1177, CVE-2023-2780, CVE-2024-1483, CVE-2024-1560 and their kin.
ATTACKS = [
    "../mnist",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/../../b",
    "%2e%2e%2f",
    "%252e%252e%252fetc",
    "..%5c..%5c",
    "..\\..\\etc",
    "C:\\windows",
    "\\\\host\\share",
    "model#../../..",
    "?x=../..",
    "file:///etc/passwd",
    "mnist\0",
    "mnist\n",
    " mnist",
    "mnist ",
    "mnist.",
    "con",
    "nul.txt",
    "MNIST",
    "\uff4dnist",
    "m" * 65,
    "-rf",
    "~root",
    "$HOME",
]


def attempts(registry: Registry, attack: str) -> Iterator[Any]:
    """Every way in which a name gets into the registry."""
    yield lambda: registry.versions(attack)
    yield lambda: registry.resolve(attack)
    yield lambda: registry.resolve(MODEL, attack)
    yield lambda: registry.manifest(MODEL, attack)
    yield lambda: registry.promote(MODEL, attack, reason="attack")
    yield lambda: registry.promote(MODEL, "champion", reason="attack", alias=attack)
    yield lambda: registry.rollback(attack, reason="attack")
    yield lambda: registry.rollback(MODEL, reason="attack", alias=attack)
    yield lambda: registry.prune(attack, keep=0)
    yield lambda: registry.verify(MODEL, attack)


@pytest.mark.parametrize("attack", ATTACKS)
def test_names_that_attack_are_usage_errors(root: Path, attack: str) -> None:
    registry_worker.work(root, 1)
    registry = Registry(root)
    before = sorted(root.parent.rglob("*"))
    for attempt in attempts(registry, attack):
        with pytest.raises(UsageError):
            attempt()
    with pytest.raises(UsageError), registry.stage(attack, root.parent / "candidate-1.onnx"):
        pass
    assert sorted(root.parent.rglob("*")) == before


@pytest.fixture(scope="module")
def jail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("jail") / "inner" / "models"
    root.parent.mkdir()
    registry_worker.work(root, 1)
    return root


@given(attack=st.text(max_size=80))
def test_no_name_ever_leads_out_of_the_root(jail: Path, attack: str) -> None:
    before = sorted(jail.parent.parent.rglob("*"))
    for attempt in list(attempts(Registry(jail), attack))[:5]:
        try:
            attempt()
        except PipelineError:
            continue
    new = set(jail.parent.parent.rglob("*")) - set(before)
    assert all(path.is_relative_to(jail) for path in new)


def test_links_do_not_lead_out_of_the_root(root: Path, tmp_path: Path) -> None:
    version = registry_worker.work(root, 1)
    outside = tmp_path / "outside"
    shutil.copytree(root / MODEL, outside)
    (root / "linked").symlink_to(outside, target_is_directory=True)
    registry = Registry(root)
    assert registry.models() == [MODEL]
    for attempt in (
        lambda: registry.resolve("linked", version),
        lambda: registry.promote("linked", version, reason="attack"),
        lambda: samples.publish(registry, "linked", tmp_path, 2),
    ):
        with pytest.raises(RegistryError, match="is a link to"):
            attempt()

    shutil.rmtree(root / MODEL / version)
    (root / MODEL / version).symlink_to(outside / version, target_is_directory=True)
    with pytest.raises(RegistryError, match="is a link to"):
        registry.resolve(MODEL, version)


def test_a_file_of_a_version_is_a_real_file(root: Path, tmp_path: Path) -> None:
    registry_worker.work(root, 1)
    registry = Registry(root)
    path = registry.resolve(MODEL).path
    path.rename(tmp_path / "model.onnx")
    path.symlink_to(tmp_path / "model.onnx")
    with pytest.raises(IntegrityError, match="not a regular file"):
        registry.resolve(MODEL)
    assert [(f.file, f.problem) for f in registry.verify(MODEL)] == [("model.onnx", "not a regular file")]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(IntegrityError, match="not a regular file"):
        registry.resolve(MODEL)


def test_a_torn_last_line_is_ignored_and_repaired(root: Path) -> None:
    version = registry_worker.work(root, 1)
    history = root / MODEL / "history.jsonl"
    whole = history.read_bytes()
    history.write_bytes(whole + b'{"check":"0123456789abcdef","time":"2026-')
    assert len(Registry(root).history(MODEL).changes) == 2
    assert Registry(root).champion(MODEL) == version

    registry_worker.work(root, 2)
    assert history.read_bytes().startswith(whole)
    assert len(Registry(root).history(MODEL).changes) == 4
    assert Registry(root).verify(MODEL) == []


def test_aliases_follow_the_history_after_a_crash_between_them(root: Path) -> None:
    registry_worker.work(root, 1)
    aliases = root / MODEL / "aliases.json"
    old = aliases.read_bytes()
    second = registry_worker.work(root, 2)
    aliases.write_bytes(old)  # as a process leaves it that dies after the line of the history
    registry = Registry(root)
    assert registry.resolve(MODEL).version == second
    assert [finding.file for finding in registry.verify(MODEL)] == ["aliases.json"]
    registry.promote(MODEL, second, reason="again")
    assert json.loads(aliases.read_bytes()) == {"champion": second}
    assert len(registry.history(MODEL).changes) == 4
