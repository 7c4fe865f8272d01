"""Why a published model is, was or is not champion, on one screen."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mnist_pipeline.cli.models import Reference
from mnist_pipeline.cli.options import RegistryOptions
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.runs.wording import moment, plain_percent
from mnist_pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mnist_pipeline.publishing.explain import Explanation

ROWS_SHOWN = 8


def explain(terminal: Terminal, *, reference: Reference = "champion", where: RegistryOptions) -> None:
    """Why a version is, was or is not champion: checks, images, what differs, who and when."""
    from mnist_pipeline.publishing.explain import explain

    store, model = where.find()
    found = explain(store, Workspace(where.workspace), model, reference)
    terminal.result(found.model_dump(mode="json"), *_lines(found))


def _lines(found: "Explanation") -> Iterator[str]:
    yield f"{found.model} {found.version}: {found.standing}"
    yield found.sentence
    yield f"accuracy   {_accuracy(found)}"
    for check in found.checks:
        yield f"{'passed' if check.passed else 'failed':<9}  {check.sentence}"
    if found.compared_with:
        yield f"against    {found.compared_with}, the champion of its day"
    for what, rows in (("fixed", found.fixed), ("broken", found.broken)):
        if rows is not None:
            more = f" and {len(rows) - ROWS_SHOWN:,} more" if len(rows) > ROWS_SHOWN else ""
            shown = f": test rows {', '.join(map(str, rows[:ROWS_SHOWN]))}{more}" if rows else ""
            yield f"{what:<9}  {len(rows):,} images{shown}"
    for one in found.differences:
        yield f"differs    {one.name}: {one.here or 'none'}, there {one.there or 'none'}"
    for change in found.changes:
        alias = f" {change.alias}" if change.alias else ""
        yield f"history    {moment(change.time)}, {change.action}{alias} by {change.who}: {change.reason}"


def _accuracy(found: "Explanation") -> str:
    text = plain_percent(found.accuracy)
    if found.corrected_accuracy is not None and found.compared > 1:
        corrected = plain_percent(found.corrected_accuracy)
        text += f"; on other images likely {corrected}, after {found.compared:,} candidates on the same ones"
    return text
