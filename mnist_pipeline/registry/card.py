"""MODEL_CARD.md: what a model is, from facts that were measured or recorded.

The template lies beside this module; its sections follow Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnist_pipeline.registry.manifest import Facts

TEMPLATE = Path(__file__).with_name("MODEL_CARD.md.j2")
_ENTITIES = {ord(character): f"&#{ord(character)};" for character in "|`*[]!\\"}


def render_card(model: str, version: str, sha256: str, facts: Facts, evaluation: Mapping[str, Any]) -> str:
    """The card as Markdown; no recorded text becomes HTML, a link, a code span or a cell of its own.

    Args:
        model: name of the model.
        version: its version.
        sha256: hex digest of model.onnx.
        facts: lineage, metrics and verdict.
        evaluation: content of evaluation.json; tables whose numbers it lacks are left out.
    """
    from jinja2 import ChainableUndefined, Environment
    from markupsafe import Markup, escape

    def cell(value: object) -> Markup:
        text = str(escape(" ".join(str(value).split())))
        return Markup(text.translate(_ENTITIES))  # noqa: S704 - escaped in the line above

    def fixed(value: float) -> str:
        return f"{value:.4f}"

    environment = Environment(autoescape=True, undefined=ChainableUndefined, keep_trailing_newline=True)
    environment.filters |= {"cell": cell, "fixed": fixed}
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        model=model,
        version=version,
        sha256=sha256,
        lineage=facts.lineage,
        metrics=facts.metrics,
        gate=facts.gate,
        evaluation=dict(evaluation),
    )
