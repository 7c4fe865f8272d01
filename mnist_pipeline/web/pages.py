"""The pages: what is to be shown, and the template that shows it."""

import asyncio
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.registry import CHAMPION, Change, Registry, VersionSummary
from mnist_pipeline.registry.lookup import find_registry
from mnist_pipeline.reporting.environment import environment
from mnist_pipeline.reporting.sentences import ordinary_sentence, overfitting_sentence
from mnist_pipeline.reporting.view import shades
from mnist_pipeline.runs.artifacts import STEPS, EvaluatedModel
from mnist_pipeline.runs.record import RunRecord
from mnist_pipeline.runs.run import runs
from mnist_pipeline.web.events import requested_run
from mnist_pipeline.web.state import State
from mnist_pipeline.web.watch import DOING, read_run
from mnist_pipeline.workspace import REPORT_HTML, Workspace

if TYPE_CHECKING:
    from jinja2 import Environment

RUNS = 200
"""So many runs are listed, the latest first."""
REPORT_CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
"""A report is one file with its style inside; its own policy allows no more than that."""


@cache
def _templates() -> "Environment":
    from jinja2 import ChoiceLoader, PackageLoader

    # What the page has in common with sheets that are files lies with those.
    rooms = [PackageLoader(f"mnist_pipeline.{room}") for room in ("web", "reporting")]
    return environment(html=True).overlay(loader=ChoiceLoader(rooms))


def render(template: str, **values: Any) -> Response:
    """A page."""
    return HTMLResponse(_templates().get_template(template).render(values))


async def try_page(request: Request) -> Response:
    """Draw, drop, paste or photograph a digit, and see what the model says."""
    state: State = request.app.state.server
    return render("try.html.j2", model=state.model.current, problem=state.model.problem)


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A row of the list of runs."""

    record: RunRecord
    accuracy: float | None


async def runs_page(request: Request) -> Response:
    """Every run of the workspace, wherever it was started."""
    state: State = request.app.state.server
    return render("runs.html.j2", runs=await asyncio.to_thread(_listed_runs, state.workspace))


def _listed_runs(workspace: Path) -> list[ListedRun]:
    found = []
    for run in islice(runs(Workspace(workspace)), RUNS):
        record = run.record
        evaluated = record.steps.get(EvaluatedModel.step)
        found.append(ListedRun(record, evaluated.output["accuracy"] if evaluated else None))
    return found


async def run_page(request: Request) -> Response:
    """One run, as far as it is."""
    watched = await asyncio.to_thread(lambda: read_run(requested_run(request)))
    shaded = shades(watched.evaluation) if watched.evaluation else []
    overfits = overfitting_sentence(watched.history) if watched.history else ""
    ordinary = ordinary_sentence(watched.evaluation) if watched.evaluation else ""
    return render(
        "run.html.j2",
        watched=watched,
        steps=STEPS,
        doing=DOING,
        shades=shaded,
        overfits=overfits,
        ordinary=ordinary,
    )


async def run_report(request: Request) -> Response:
    """The report of a run."""
    run = await asyncio.to_thread(requested_run, request)
    return _report(run.directory.report_html)


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model: its versions, and its champions, the present one first."""

    name: str
    versions: list[VersionSummary]
    timeline: list[Change]
    reasons: dict[str, list[str]]


async def models_page(request: Request) -> Response:
    """Versions, champions, and why the others were refused."""
    state: State = request.app.state.server
    store = find_registry(state.workspace, state.registry)
    try:
        models, problem = await asyncio.to_thread(_listed_models, store), ""
    except PipelineError as error:
        models, problem = [], str(error)
    return render("models.html.j2", models=models, problem=problem)


def _listed_models(store: Registry) -> list[ListedModel]:
    return [_listed_model(store, name) for name in store.models()]


def _listed_model(store: Registry, name: str) -> ListedModel:
    versions = store.versions(name)
    refused = [row.version for row in versions if not row.promoted]
    return ListedModel(
        name,
        versions,
        list(reversed(store.history(name).moves(CHAMPION))),
        {version: store.manifest(name, version).gate.reasons for version in refused},
    )


async def model_report(request: Request) -> Response:
    """The report of a published version."""
    state: State = request.app.state.server
    store = find_registry(state.workspace, state.registry)
    try:
        found = await asyncio.to_thread(store.resolve, request.path_params["model"], request.path_params["version"])
    except PipelineError as error:
        raise HTTPException(404, str(error)) from None
    return _report(found.directory / REPORT_HTML)


def _report(path: Path) -> Response:
    try:
        return HTMLResponse(path.read_bytes(), headers={"content-security-policy": REPORT_CSP})
    except OSError:
        raise HTTPException(404, "there is no report yet") from None
