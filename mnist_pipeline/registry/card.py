"""MODEL_CARD.md: what a model is, from facts that were measured or recorded. Pure.

Sections after Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from collections.abc import Mapping
from typing import Any

from mnist_pipeline.registry.manifest import Facts

_TEMPLATE = """\
# {{ model }} {{ version }}

Image classifier in ONNX format. Published by mnist-pipeline {{ lineage.code_version }}.

## Model

| | |
|---|---|
| SHA-256 of model.onnx | `{{ sha256 }}` |
| Input | `images`: uint8 [N, 28, 28]; 0 is background, 255 is ink |
| Output | `probabilities`: float32 [N, {{ evaluation.class_names | length or 10 }}] |
{%- if evaluation.class_names %}
| Classes | {{ evaluation.class_names | map("cell") | join(", ") }} |
{%- endif %}
| Preset, seed | {{ lineage.preset | cell }}, {{ lineage.seed }} |
| Run | {{ lineage.run | cell }} |
| Champion when it was judged | {{ (lineage.parent or "none") | cell }} |

## Data

Trained on the train rows and measured on the test rows of the dataset **{{ lineage.dataset | cell }}**
(digest {{ lineage.dataset_digest | cell }}).
{%- if lineage.extra_images %}
{{ "{:,}".format(lineage.extra_images) }} more images were fitted (digest {{ lineage.extra_images_digest | cell }}).
{%- endif %}
{%- if evaluation.fallback %}

**This is the embedded stand-in dataset: the dataset that was meant could not be reached.**
{%- endif %}

## Measurements

Accuracy {{ metrics.accuracy | fixed }} on {{ "{:,}".format(metrics.samples) }} test images
{%- if evaluation.accuracy_interval %} (95 % interval
{{ evaluation.accuracy_interval.low | fixed }} to {{ evaluation.accuracy_interval.high | fixed }})
{%- endif %}, by onnxruntime with {{ metrics.provider | cell }}.
{%- if gate.corrected_accuracy is number and gate.compared > 1 %}
{{ "{:,}".format(gate.compared) }} candidates were compared on these images; corrected for that, the accuracy on other
images is likely {{ gate.corrected_accuracy | fixed }}.
{%- endif %}
{%- if evaluation.own_test %}
Own-test images, none of which was trained on: {{ evaluation.own_test.accuracy | fixed }} of
{{ "{:,}".format(evaluation.own_test.samples) }} answered right;
{{ evaluation.own_test.digits_refused }} of {{ evaluation.own_test.digits }} digits refused, and
{{ evaluation.own_test.no_digits_refused }} of {{ evaluation.own_test.no_digits }} images without a digit.
{%- endif %}
{%- if evaluation.expected_calibration_error is number %}
Expected calibration error {{ evaluation.expected_calibration_error | fixed }}.
{%- endif %}
{% if evaluation.per_class %}
| Class | Test images | Recall | Precision | F1 |
|---|---:|---:|---:|---:|
{%- for c in evaluation.per_class %}
| {{ c.name | cell }} | {{ c.samples }} | {{ c.accuracy | fixed }} | {{ c.precision | fixed }} | {{ c.f1 | fixed }} |
{%- endfor %}
{% endif %}
## Verdict of the gate

When this version was published. Whether it is champion now: `mnist-pipeline models show {{ version }}`.
{% if gate.promoted %}
Every check passed.
{% else %}
Refused:
{% for reason in gate.reasons %}
- {{ reason | cell }}
{%- endfor %}
{% endif %}
## Limits

The numbers hold for images like those of the test rows: one centred object, light on dark, 28 x 28 pixels.
Nothing was measured on other images.

## Made with

| Package | Version |
|---|---|
{%- for name, number in lineage.frameworks | dictsort %}
| {{ name | cell }} | {{ number | cell }} |
{%- endfor %}

Config digest {{ lineage.config_digest | cell }}, code digest {{ lineage.code_digest | cell }}.
"""

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
    return environment.from_string(_TEMPLATE).render(
        model=model,
        version=version,
        sha256=sha256,
        lineage=facts.lineage,
        metrics=facts.metrics,
        gate=facts.gate,
        evaluation=dict(evaluation),
    )
