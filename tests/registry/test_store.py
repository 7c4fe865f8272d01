import datetime as dt
import json
import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from mnist_pipeline.errors import IntegrityError, RegistryError, UsageError
from mnist_pipeline.registry import Registry, parse_when, store
from tests.support import samples


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` but the locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_version_is_named_by_its_content_and_holds_the_files_of_the_contract(registry, publish, tmp_path):
    published = publish(1)

    digest = sha256(samples.model_bytes(1)).hexdigest()
    assert published.version == digest[:12]
    assert published.sha256 == digest
    assert published.path == tmp_path / "models" / "mnist" / digest[:12] / "model.onnx"
    assert {path.name for path in published.directory.iterdir()} == {
        "model.onnx",
        "manifest.json",
        "evaluation.json",
        "report.html",
        "MODEL_CARD.md",
    }
    manifest = json.loads((published.directory / "manifest.json").read_text())
    assert manifest["files"]["model.onnx"] == {"sha256": digest, "bytes": len(samples.model_bytes(1))}
    assert manifest["files"]["report.html"]["sha256"] == sha256(b"<p>1</p>").hexdigest()
    assert sorted(manifest["files"]) == ["MODEL_CARD.md", "evaluation.json", "model.onnx", "report.html"]
    assert manifest["created"] == "2026-01-01T00:01:00Z"
    assert manifest["lineage"]["run"] == "run-1"
    assert manifest["lineage"]["dataset_digest"] == "d" * 64


def test_publishing_again_changes_nothing(registry, publish, tmp_path):
    first = publish(1)
    before = tree(tmp_path / "models")

    assert publish(1, who="somebody else").manifest == first.manifest

    assert tree(tmp_path / "models") == before
    assert [change.action for change in registry.history("mnist").changes] == ["publish"]


def test_a_model_file_is_found_by_its_digest_once_it_is_published(registry, publish):
    digests = [sha256(samples.model_bytes(seed)).hexdigest() for seed in (1, 2)]
    published = publish(1)
    assert [registry.published("mnist", digest) for digest in digests] == [published, None]
    with pytest.raises(RegistryError, match="is already another model"):
        registry.published("mnist", digests[0][:12] + digests[1][12:])
    (published.directory / "report.html").write_text("spoilt")
    with pytest.raises(IntegrityError, match=r"report\.html has SHA-256"):
        registry.published("mnist", digests[0])


def test_an_abandoned_stage_leaves_nothing(registry, tmp_path):
    with pytest.raises(KeyboardInterrupt), registry.stage("mnist", samples.write_model(tmp_path, 1)) as stage:
        assert stage.model_path.read_bytes() == samples.model_bytes(1)
        stage.add("evaluation.json", samples.evaluation())
        assert registry.versions("mnist") == []
        raise KeyboardInterrupt
    assert tree(tmp_path / "models") == {}


def test_a_version_needs_its_evaluation_and_cannot_replace_its_own_files(registry, tmp_path):
    with registry.stage("mnist", samples.write_model(tmp_path, 1)) as stage:
        with pytest.raises(UsageError, match=r"evaluation\.json"):
            registry.commit(stage, samples.facts())
        for name in ("model.onnx", "manifest.json", "manifest.json.sig", "MODEL_CARD.md"):
            with pytest.raises(UsageError, match="written by the registry"):
                stage.add(name, "")
        for name in ("../report.html", "a/b", ".hidden", "", "nul", "report.html\n"):
            with pytest.raises(UsageError):
                stage.add(name, "")


def test_two_models_with_the_same_first_digits_are_told_apart(registry, publish, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "content_version", lambda digest: "0" * 12)
    monkeypatch.setattr("mnist_pipeline.registry.manifest.content_version", lambda digest: "0" * 12)
    first = publish(1)
    with pytest.raises(RegistryError, match="already another model") as error:
        publish(2)
    assert sha256(samples.model_bytes(2)).hexdigest() in str(error.value)
    assert registry.resolve("mnist", "0" * 12).sha256 == first.sha256


def test_resolve_takes_an_alias_a_version_or_its_unique_beginning(registry, publish):
    one, two = publish(1), publish(2)
    registry.promote("mnist", one.version, reason="first")
    registry.promote("mnist", two.version[:5], reason="to look at", alias="candidate")

    assert registry.resolve("mnist").version == one.version
    assert registry.resolve("mnist", "candidate").version == two.version
    assert registry.resolve("mnist", two.version).path == two.path
    assert registry.resolve("mnist", two.version[:4]).version == two.version
    assert registry.history("mnist").aliases == {"champion": one.version, "candidate": two.version}
    with pytest.raises(RegistryError, match="no version"):
        registry.resolve("mnist", "0000")
    with pytest.raises(RegistryError, match=r"has no mnist 000000000000"):
        registry.resolve("mnist", "0" * 12)
    with pytest.raises(RegistryError, match="has no champion"):
        registry.resolve("other")


def test_a_beginning_that_two_versions_share_names_neither(registry, publish, monkeypatch):
    real = store.content_version
    monkeypatch.setattr(store, "content_version", lambda digest: "abcd" + real(digest)[4:])
    monkeypatch.setattr("mnist_pipeline.registry.manifest.content_version", lambda digest: "abcd" + digest[4:12])
    one, two = publish(1), publish(2)
    with pytest.raises(RegistryError, match="2 versions") as error:
        registry.resolve("mnist", "abcd")
    assert one.version in str(error.value)
    assert two.version in str(error.value)


def test_versions_are_listed_newest_first_with_their_aliases(registry, publish):
    one, two = publish(1), publish(2)
    registry.promote("mnist", one.version, reason="first")
    rows = registry.versions("mnist")
    assert [row.version for row in rows] == [two.version, one.version]
    assert [row.aliases for row in rows] == [[], ["champion"]]
    assert (rows[0].accuracy, rows[0].samples, rows[0].dataset) == (0.98, 10_000, "mnist")
    assert rows[0].created == dt.datetime(2026, 1, 1, 0, 2, tzinfo=dt.UTC)
    assert registry.models() == ["mnist"]


def test_promote_moves_the_alias_and_writes_who_when_and_why(registry, publish, clock, tmp_path):
    one, two = publish(1), publish(2)
    registry.promote("mnist", one.version, reason="first", who="ada", run="run-1", expected=None)
    clock.forward(hours=1)
    registry.promote("mnist", two.version, reason="better", who="bob", run="run-2", expected=one.version)

    last = registry.history("mnist").changes[-1]
    assert (last.action, last.alias, last.before, last.after) == ("promote", "champion", one.version, two.version)
    assert (last.who, last.run, last.reason, last.time) == ("bob", "run-2", "better", clock.now)
    aliases = tmp_path / "models" / "mnist" / "aliases.json"
    assert json.loads(aliases.read_text()) == {"champion": two.version}
    line = json.loads((tmp_path / "models" / "mnist" / "history.jsonl").read_text().splitlines()[-1])
    assert (line["from"], line["to"], line["time"]) == (one.version, two.version, "2026-01-01T01:02:00Z")


def test_a_promotion_that_expected_another_champion_is_refused_and_says_who_won(registry, publish):
    one, two, three = publish(1), publish(2), publish(3)
    registry.promote("mnist", one.version, reason="first", expected=None)
    registry.promote("mnist", two.version, reason="nightly run", who="bob", expected=one.version)
    with pytest.raises(RegistryError, match=f"champion is {two.version}, expected was {one.version}") as error:
        registry.promote("mnist", three.version, reason="late", expected=one.version)
    assert "bob" in str(error.value)
    assert "nightly run" in str(error.value)
    with pytest.raises(RegistryError, match="expected was not set"):
        registry.promote("mnist", three.version, reason="late", expected=None)
    assert registry.champion("mnist") == two.version


def test_a_model_of_one_dataset_never_replaces_the_champion_of_another(registry, publish):
    mnist, digits = publish(1), publish(2, dataset="digits")
    registry.promote("mnist", mnist.version, reason="first")
    with pytest.raises(RegistryError, match=f"{digits.version} was trained on digits, the champion {mnist.version} on"):
        registry.promote("mnist", digits.version, reason="better")
    registry.promote("mnist", digits.version, reason="to look at", alias="candidate")
    assert registry.champion("mnist") == mnist.version


def test_promoting_the_champion_again_is_no_change(registry, publish):
    one = publish(1)
    registry.promote("mnist", one.version, reason="first", expected=None)
    assert registry.promote("mnist", one.version, reason="retry", expected=None) == one.version
    assert [change.reason for change in registry.history("mnist").changes] == ["publish", "first"]


def test_rollbacks_go_further_back_each_time(registry, publish):
    a, b, c, d = (publish(seed).version for seed in range(4))
    for version in (a, b, c):
        registry.promote("mnist", version, reason="better")
    assert registry.rollback("mnist", reason="c is wrong") == b
    assert registry.rollback("mnist", reason="so is b") == a
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("mnist", reason="and a")
    registry.promote("mnist", d, reason="fixed")
    assert registry.rollback("mnist", reason="not fixed") == a
    assert registry.champion("mnist") == a


def test_rollback_to_a_champion_that_came_twice(registry, publish):
    a, b = publish(1).version, publish(2).version
    for version in (a, b, a):
        registry.promote("mnist", version, reason="change")
    assert [registry.rollback("mnist", reason="back") for _ in range(2)] == [b, a]


def test_rollback_does_not_lead_to_a_damaged_version(registry, publish):
    a, b = publish(1), publish(2)
    registry.promote("mnist", a.version, reason="first")
    registry.promote("mnist", b.version, reason="better")
    (a.directory / "model.onnx").write_bytes(b"rot")
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        registry.rollback("mnist", reason="back")
    assert registry.champion("mnist") == b.version


def test_a_year_of_promotions_is_answered_day_by_day(registry, publish, clock):
    versions = [publish(seed).version for seed in range(6)]
    year = dt.datetime(2026, 2, 1, 3, tzinfo=dt.UTC)
    expected: dict[dt.date, str] = {}
    stack: list[str] = []
    for day in range(0, 365, 5):
        clock.now = year + dt.timedelta(days=day)
        if day % 35 == 20 and len(stack) > 1:
            stack.pop()
            assert registry.rollback("mnist", reason=f"day {day}") == stack[-1]
        else:
            stack.append(versions[(day // 5) % 6])
            registry.promote("mnist", stack[-1], reason=f"day {day}")
        expected[clock.now.date()] = stack[-1]

    for day in range(365):
        when = year.date() + dt.timedelta(days=day)
        champion = expected[max(known for known in expected if known <= when)]
        change = registry.history("mnist").at(parse_when(when.isoformat()))
        assert change is not None
        assert change.after == champion, when
    before = registry.history("mnist").at(parse_when("2026-01-31"))
    assert before is None
    morning = registry.history("mnist").at(parse_when("2026-02-06T02:59:59Z"))
    assert morning is not None
    assert morning.after == versions[0]
    noon = registry.history("mnist").at(parse_when("2026-02-06T03:00:00"))
    assert noon is not None
    assert noon.after == versions[1]


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-11", "2026-11-01T25:00"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="neither a date"):
        parse_when(text)


def test_a_clock_that_goes_back_does_not_turn_the_history_round(registry, publish, clock):
    a, b = publish(1), publish(2)
    registry.promote("mnist", a.version, reason="first")
    clock.forward(days=-300)
    registry.promote("mnist", b.version, reason="second")
    times = [change.time for change in registry.history("mnist").changes]
    assert times == sorted(times)
    last = registry.history("mnist").at(times[-1])
    assert last is not None
    assert last.after == b.version


def test_prune_keeps_the_newest_the_aliased_the_last_champions_and_the_way_back(registry, publish):
    versions = [publish(seed).version for seed in range(8)]
    for version in versions[:3]:
        registry.promote("mnist", version, reason="better")
    registry.rollback("mnist", reason="back")  # champion 1, the last champions 1 and 2, the way back 0
    registry.promote("mnist", versions[3], reason="to look at", alias="candidate")

    assert registry.prune("mnist", keep=2, dry_run=True) == [versions[5], versions[4]]
    assert len(registry.versions("mnist")) == 8
    assert registry.prune("mnist", keep=2, reason="disk", who="ada") == [versions[5], versions[4]]

    assert {row.version for row in registry.versions("mnist")} == {*versions[:4], *versions[6:]}
    assert [(c.before, c.after, c.reason) for c in registry.history("mnist").changes if c.action == "prune"] == [
        (versions[5], None, "disk"),
        (versions[4], None, "disk"),
    ]
    assert registry.prune("mnist", keep=2) == []
    assert registry.verify("mnist") == []
    with pytest.raises(RegistryError):
        registry.promote("mnist", versions[4], reason="gone")
    with pytest.raises(UsageError, match="-1"):
        registry.prune("mnist", keep=-1)


def test_a_pruned_version_can_be_published_again(registry, publish):
    one = publish(1).version
    publish(2)
    assert registry.prune("mnist", keep=1) == [one]
    assert publish(1).version == one
    assert registry.promote("mnist", one, reason="wanted after all") == one
    assert registry.verify("mnist") == []


def test_a_registry_can_be_moved(registry, publish, tmp_path):
    one = publish(1)
    registry.promote("mnist", one.version, reason="first")
    shutil.move(tmp_path / "models", tmp_path / "elsewhere")
    moved = Registry(tmp_path / "elsewhere")
    assert moved.resolve("mnist").version == one.version
    assert moved.verify("mnist") == []


def test_a_lost_history_is_not_taken_for_a_new_registry(registry, publish, tmp_path):
    one = publish(1)
    registry.promote("mnist", one.version, reason="first")
    (tmp_path / "models" / "mnist" / "history.jsonl").unlink()
    for attempt in (
        lambda: registry.champion("mnist"),
        lambda: registry.promote("mnist", one.version, reason="again"),
        lambda: publish(2),
    ):
        with pytest.raises(IntegrityError, match=r"history\.jsonl is missing"):
            attempt()
    assert [finding.file for finding in registry.verify("mnist")] == ["history.jsonl"]
    (tmp_path / "models" / "mnist" / "aliases.json").unlink()
    registry.promote("mnist", one.version, reason="a new history")
    assert [change.action for change in registry.history("mnist").changes] == ["publish", "promote"]
    assert registry.verify("mnist") == []


def test_without_a_name_the_user_of_the_process_did_it(registry, publish):
    publish(1)
    assert re.fullmatch(r".+@.+", registry.history("mnist").changes[0].who)


def test_unknown_models_have_nothing(registry: Registry) -> None:
    assert registry.models() == []
    assert registry.versions("nobody") == []
    assert registry.history("nobody").aliases == {}
    assert registry.history("nobody").changes == ()
    assert registry.champion("nobody") is None
    assert registry.verify("nobody") == []
    assert not Path(registry.storage.location).exists()
