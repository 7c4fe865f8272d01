"""Publishing without what takes longest and is tested elsewhere."""

import pytest

from mnist_pipeline.evaluation.schema import Check
from mnist_pipeline.publishing import publish as publishing


@pytest.fixture(autouse=True)
def _quick(undrawn, monkeypatch):
    """Charts and fresh processes take longer than all the rest, and no test here is about them."""
    sound = Check(name="infrastructure", value=0.0, threshold=1e-5, passed=True, sentence="A fresh process agrees.")
    monkeypatch.setattr(publishing, "validate_in_fresh_process", lambda *_, **__: sound)
