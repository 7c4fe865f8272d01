from pathlib import Path

from mnist_pipeline.registry import Registry
from mnist_pipeline.registry.history import History


def test_ten_thousand_versions_are_listed_from_the_history_alone(registry, publish, tmp_path: Path) -> None:
    one = publish(1)
    registry.promote("mnist", one.version, reason="first")
    (line,) = (change for change in registry.history("mnist").changes if change.action == "publish")
    folder = tmp_path / "models" / "mnist"
    additions = []
    for number in range(9_999):
        version = f"{number:012x}"
        (folder / version).mkdir()
        additions.append(line.model_copy(update={"after": version, "time": line.time}))
    history = History.parse((folder / "history.jsonl").read_bytes(), "h")
    with (folder / "history.jsonl").open("ab") as file:
        file.write(history.encode(additions))

    rows = Registry(tmp_path / "models").versions("mnist")
    assert len(rows) == 10_000
    assert [row.version for row in rows if row.aliases] == [one.version]
