"""What a command says while it works."""

import io

from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.progress import Progress


def test_without_a_terminal_an_activity_is_one_line_at_its_end(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    with Terminal().progress() as report_progress:
        for epoch in (1, 2):
            for batch in range(1, 4):
                report_progress(Progress(f"epoch {epoch}/2", batch, 3, "batches", {"loss": 1 / batch}))
    assert written.getvalue().splitlines() == [
        "epoch 1/2: 3/3 batches  loss 0.3333",
        "epoch 2/2: 3/3 batches  loss 0.3333",
    ]


def test_quiet_reports_nothing(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    terminal = Terminal(quiet=True)
    with terminal.progress() as report_progress:
        report_progress(Progress("epoch 1/1", 1, 1, "batches"))
    terminal.say("news")
    assert written.getvalue() == ""
