"""Publishing without what takes longest and is tested elsewhere."""

import pytest

from mnist_pipeline.publishing import publish as publishing
from mnist_pipeline.publishing.validate import InfrastructureValidation
from mnist_pipeline.reporting import plots


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Charts and fresh processes take longer than all the rest, and no test here is about them."""
    monkeypatch.setattr(plots, "to_png", lambda _: b"")
    monkeypatch.setattr(plots, "to_svg", lambda *_: "")
    monkeypatch.setattr(plots, "to_inline_svg", lambda *_: "")
    sound = InfrastructureValidation(passed=True, max_abs_difference=0.0, sentence="A fresh process agrees.")
    monkeypatch.setattr(publishing, "validate_in_fresh_process", lambda *_, **__: sound)
