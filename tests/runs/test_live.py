"""The curve of a training while it runs."""

from contextlib import closing
from pathlib import Path

import pytest

from mnist_pipeline.runs.live import Begin, LiveCurve, read_live
from mnist_pipeline.runs.training_history import Epoch

BEGIN = Begin(layers=[], batches=6, epochs=2, train_rows=60, validation_rows=10)
EPOCH = Epoch(epoch=1, loss=1.5, accuracy=0.5, val_loss=1.25, val_accuracy=0.625, learning_rate=0.001, seconds=2)


def test_each_point_is_the_mean_of_the_batches_since_the_point_before(tmp_path):
    losses = [4.0, 2.0, 3.0, 1.0, 5.0]
    curve = LiveCurve(tmp_path / "live.jsonl")
    for start, done in ((0, 2), (0, 3), (3, 1), (3, 2)):
        means = sum(losses[start : start + done]) / done
        curve.batches(start, done, {"loss": means, "accuracy": means / 10})
    curve.batches(3, 2, {"loss": 3, "accuracy": 0.3})  # nothing new
    curve.close()
    lines, _ = read_live(tmp_path / "live.jsonl")
    assert [(line["batch"], line["loss"], line["accuracy"]) for line in lines] == [
        (2, 3, 0.3),
        (3, 3, 0.3),
        (4, 1, 0.1),
        (5, 5, 0.5),
    ]


def test_who_reads_gets_whole_lines_and_goes_on_where_it_was(tmp_path):
    path = tmp_path / "live.jsonl"
    assert read_live(path) == ([], 0)
    curve = LiveCurve(path)
    curve.begin(BEGIN, [EPOCH])
    curve.close()
    lines, offset = read_live(path)
    assert [next(iter(line)) for line in lines] == ["begin", "epoch"]
    assert Begin.model_validate(lines[0]["begin"]) == BEGIN
    with path.open("a") as file:
        file.write('{"batch": 4, ')
        file.flush()
        assert read_live(path, offset) == ([], offset)
        file.write('"loss": 1, "accuracy": 0.5}\n')
    assert read_live(path, offset)[0] == [{"batch": 4, "loss": 1, "accuracy": 0.5}]
    with closing(LiveCurve(path)) as another:
        another.begin(BEGIN, [])
    assert read_live(path, 10_000)[0] == [{"begin": BEGIN.model_dump(mode="json")}]


def test_a_training_goes_on_where_its_curve_cannot_be_written(tmp_path, caplog):
    curve = LiveCurve(tmp_path / "absent" / "live.jsonl")
    curve.epoch(EPOCH)
    curve.close()
    assert "the training cannot be watched" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_curve_alone(caplog):

    curve = LiveCurve(Path("/dev/full"))
    for _ in range(3):
        curve.epoch(EPOCH)
    assert caplog.text.count("the training cannot be watched") == 1
