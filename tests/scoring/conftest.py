"""The command `score`, with a small model."""

from typing import Any

import pytest
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from tests.support.digit_scoring import Model


class Command:
    """The command `score` with the small model."""

    def __init__(self, model: Model) -> None:
        self._words = ["score", "--model", str(model.path), "--workers", "1", "--min-confidence", "0"]

    def __call__(self, *words: object, code: int = 0, **options: Any) -> str:
        """Run it; standard error, after a look at how it ended."""
        return self._run(words, code, options).stderr

    def output(self, *words: object, code: int = 0, **options: Any) -> str:
        """Run it; standard output."""
        return self._run(words, code, options).stdout

    def _run(self, words: tuple[object, ...], code: int, options: dict[str, Any]) -> Any:
        done = CliRunner().invoke(app, [*self._words, *map(str, words)], **options)
        assert done.exit_code == code, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def refused(self, *words: object, code: int = 2, **options: Any) -> str:
        """Run it; the one line that says why it did not start."""
        lines = self(*words, code=code, **options).splitlines()
        assert len(lines) == 1, lines
        return lines[0].removeprefix("error: ")


@pytest.fixture
def score(model: Model) -> Command:
    return Command(model)
