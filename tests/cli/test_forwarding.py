"""Every option of every command reaches the library as it was given, and changes nothing else.

A command is run twice with the library call replaced: as `Command.words` say, and with one option more. Between what
the two calls got lies exactly what the option says. The options come from the command line's own tree: one that no
entry below covers fails a test.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, is_dataclass
from itertools import repeat
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from mnist_pipeline.cli.app import app
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.config import PRESETS, PipelineConfig
from mnist_pipeline.errors import PipelineError
from mnist_pipeline.registry import Registry
from mnist_pipeline.rejection.model import ScoringModel
from mnist_pipeline.runs import run as runs
from mnist_pipeline.runs.run import Run
from mnist_pipeline.web.security import own_names
from mnist_pipeline.workspace import RunDirectory, Workspace

Words = list[str]
Changes = Mapping[str, Any]


class ReachedError(PipelineError):
    """The library was called: there is nothing more to see."""


class Calls:
    """What the library got: "function.argument" -> plain value, fields of configurations and handles one by one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.got: dict[str, Any] = {}
        self.monkeypatch = monkeypatch

    def note(self, name: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            self.got |= dict(flat(f"{name}.{key}", value))

    def replace(self, target: str, answer: Callable[..., Any] | None = None) -> None:
        """Record what the function gets; then it answers, or the command ends."""
        owner, name = target.rsplit(".", 1)
        signature = inspect.signature(getattr(resolve_name(owner), name))

        def fake(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            self.note(name, bound.arguments)
            if answer is None:
                raise ReachedError(name)
            return answer(*args, **kwargs)

        self.monkeypatch.setattr(target, fake)


def flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Workspace | RunDirectory):
        yield name, value.root if isinstance(value, Workspace) else value.path.name
    elif isinstance(value, BaseModel):
        yield from flat(name, {field: getattr(value, field) for field in type(value).model_fields})
    elif is_dataclass(value) and not isinstance(value, type):
        yield from flat(name, {field: getattr(value, field) for field in value.__slots__})
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from flat(f"{name}.{key}", one)
    elif not callable(value) and not isinstance(value, SimpleNamespace):
        yield name, value


@dataclass(frozen=True)
class Command:
    """A command, how its library is replaced, and for each option: the words, and what they change in the calls."""

    words: Words
    library: Callable[[Calls], None]
    options: Mapping[str, tuple[Words, Changes]]


def library(*targets: str) -> Callable[[Calls], None]:
    """The functions are replaced; the last one ends the command."""
    return lambda calls: [calls.replace(target) for target in targets] and None


def stand_in(calls: Calls, module: str, **names: Any) -> None:
    """Prefect, once imported, changes the logging of its process: it is not, for what is only parsed here."""
    calls.monkeypatch.setitem(sys.modules, module, cast(ModuleType, SimpleNamespace(**names)))


def a_flow(name: str) -> Callable[[Calls], None]:
    def replace(calls: Calls) -> None:
        def flow(workspace: Path, **arguments: Any) -> None:
            calls.note("flow", {"workspace": workspace, **arguments})
            raise ReachedError(name)

        calls.monkeypatch.setattr("mnist_pipeline.cli.flows.load_flows", lambda *_: SimpleNamespace(**{name: flow}))

    return replace


def a_step(name: str) -> Callable[[Calls], None]:
    def replace(calls: Calls) -> None:
        calls.monkeypatch.setattr(Run, "output", lambda _, kind: kind)
        calls.replace(f"mnist_pipeline.steps.{name}")

    return replace


def a_registry(method: str) -> Callable[[Calls], None]:
    """What the registry is found by, the model's name, and what its method gets."""

    def replace(calls: Calls) -> None:
        def reached(*args: Any, **kwargs: Any) -> None:
            bound = inspect.signature(getattr(Registry, method)).bind(None, *args, **kwargs)
            bound.apply_defaults()
            calls.note(method, {name: value for name, value in bound.arguments.items() if name != "self"})
            raise ReachedError(method)

        store = SimpleNamespace(**{"models": lambda: ["mnist"], "champion": lambda _: "0" * 12, method: reached})
        calls.replace("mnist_pipeline.registry.lookup.find_registry", lambda *_: store)

    return replace


def an_explanation(calls: Calls) -> None:
    store = SimpleNamespace(models=lambda: ["mnist"])
    calls.replace("mnist_pipeline.registry.lookup.find_registry", lambda *_: store)
    calls.replace("mnist_pipeline.publishing.explain.explain")


def own_labels(method: str) -> Callable[[Calls], None]:
    def replace(calls: Calls) -> None:
        def reached(*args: Any, **kwargs: Any) -> Any:
            calls.note(method, {**dict(enumerate(args)), **kwargs})
            raise ReachedError(method)

        store = SimpleNamespace(**{method: reached})
        calls.replace("mnist_pipeline.labels.store.open_labels", lambda _: store)
        calls.replace("mnist_pipeline.labels.sources.find_images", lambda _: "images")

    return replace


LABELS = {
    "--labels": (["--labels", "s3://bucket/labels"], {"open_labels.location": "s3://bucket/labels"}),
    "--workspace": (["--workspace", "there"], {"open_labels.location": Path("there/labels")}),
}


def a_report(calls: Calls) -> None:
    calls.replace("mnist_pipeline.reporting.files.draw_report", lambda run: Path("report.html"))
    calls.monkeypatch.setattr("webbrowser.open", lambda url: calls.note("browser", {"url": Path(url).name}) or True)


def a_version_report(calls: Calls) -> None:
    store = SimpleNamespace(
        models=lambda: ["mnist"],
        resolve=lambda model, reference: (
            calls.note("resolve", {"model": model, "reference": reference}) or SimpleNamespace(directory=Path("there"))
        ),
    )
    calls.replace("mnist_pipeline.registry.lookup.find_registry", lambda *_: store)


def a_comparison(calls: Calls) -> None:
    def check(_: Any, __: Any, replace: str) -> None:
        calls.note("check_destinations", {"replace": replace})

    calls.monkeypatch.setattr("mnist_pipeline.files.writing.check_destinations", check)
    calls.replace("mnist_pipeline.reporting.files.write_comparison")


def a_list_of_runs(calls: Calls) -> None:
    real = runs.runs

    def found(workspace: Workspace) -> Iterator[Run]:
        for number, run in enumerate(repeat(next(real(workspace))), 1):
            calls.note("runs", {"workspace": workspace, "taken": number})
            yield run

    calls.monkeypatch.setattr("mnist_pipeline.runs.run.runs", found)
    calls.monkeypatch.setattr(
        "mnist_pipeline.cli.runs._statuses",
        lambda _, records: dict.fromkeys([one.run_id for one in records], "finished"),
    )


def a_deployment(calls: Calls) -> None:
    def load(workspace: Path, parameters: Any, pool: str, cron: str | None, timezone: str | None) -> list[Any]:
        calls.note("load", {"workspace": workspace, "parameters": parameters})
        calls.note("load", {"pool": pool, "cron": cron, "timezone": timezone})
        return []

    module = SimpleNamespace(
        load_deployments=load,
        register=lambda _, pool: calls.note("register", {"pool": pool}) or [],
        describe=None,
        serve_here=lambda _: calls.note("serve_here", {"called": True}),
    )
    calls.monkeypatch.setattr("mnist_pipeline.cli.flows.load_flows", lambda *_, **__: module)
    stand_in(calls, "flows.automations", ensure_automations=lambda *_: [])
    stand_in(calls, "flows.notification", VARIABLE="NOBODY_IS_TOLD")
    stand_in(calls, "flows.problems", answers_explained=nullcontext)


def a_classification(calls: Calls) -> None:
    from mnist_pipeline.inference import Classifier
    from mnist_pipeline.scoring.single import Reply

    row: dict[str, Any] = {"path": "7.png", "status": "ok", "reason": "", "error": "", "digit": 7, "confidence": 1.0}
    reply = Reply(row | {f"p{digit}": 0.1 for digit in range(10)}, None, np.full((28, 28), 255, np.uint8))
    chosen = SimpleNamespace(path=Path("model.onnx"), sha256="0" * 64, version="mnist 0")
    calls.replace("mnist_pipeline.registry.lookup.find_scoring_model", lambda *_, **__: chosen)
    calls.replace("mnist_pipeline.rejection.rule.choose_threshold", lambda *_: None)
    calls.monkeypatch.setattr(Classifier, "load", lambda *_, **__: None)

    def classify(name: bytes, job: Any, *_: Any) -> Reply:
        calls.note("classify_image", {"name": name, "mode": job.mode})
        return reply

    def picture(seen: Any) -> list[str]:
        calls.note("picture", {"shape": seen.shape})
        return []

    calls.monkeypatch.setattr("mnist_pipeline.scoring.single.classify_image", classify)
    calls.monkeypatch.setattr("mnist_pipeline.cli.classify.picture", picture)


def a_server(calls: Calls) -> None:
    """It says that it has started, and ends."""
    calls.monkeypatch.setattr("mnist_pipeline.scoring.workers.start.start_forkserver", lambda: None)
    calls.replace("mnist_pipeline.web.server.listen", lambda *_: SimpleNamespace(getsockname=lambda: ("", 8000)))
    calls.replace("mnist_pipeline.web.app.create_app", lambda _: None)
    calls.monkeypatch.setattr("mnist_pipeline.web.server.serve", lambda _, __, started: started())
    calls.replace("webbrowser.open", lambda _: True)


def a_review(calls: Calls) -> None:
    """A server that has images to review."""
    a_server(calls)
    calls.replace("mnist_pipeline.labels.store.open_labels", lambda _: SimpleNamespace())
    calls.replace("mnist_pipeline.labels.review.open_review", lambda *_: None)


def a_score(calls: Calls) -> None:
    """By processes of this machine, to an end that is not complete."""
    calls.monkeypatch.setattr("mnist_pipeline.scoring.workers.start.start_forkserver", lambda: None)
    chosen = ScoringModel(Path("model.onnx"), "0" * 64, "mnist 0")
    calls.replace("mnist_pipeline.registry.lookup.find_scoring_model", lambda *_, **__: chosen)

    def score(job: Any, names: Any, *_: Any) -> SimpleNamespace:
        listed = names and Path(names.name).name
        calls.note("score", {"config": job.config, "source": job.source, "names": listed})
        calls.note("score", asdict(job.outputs))
        return SimpleNamespace(model_dump=lambda **_: {})

    calls.monkeypatch.setattr("mnist_pipeline.scoring.score.score_job", score)
    _an_incomplete_end(calls)


def a_review_sheet(calls: Calls) -> None:
    a_score(calls)
    calls.replace("mnist_pipeline.reporting.review.review_sheet", lambda *_: "")


def a_score_on_dask(calls: Calls) -> None:
    def flow(folder: str, output: Path, config: Any, **arguments: Any) -> None:
        calls.note("flow", {"folder": folder, "output": output, "config": config, **arguments})
        raise ReachedError("score_folder")

    stand_in(calls, "prefect")
    stand_in(calls, "prefect.exceptions", ParameterTypeError=TypeError)
    module = SimpleNamespace(score_folder=flow)
    calls.monkeypatch.setattr("mnist_pipeline.cli.flows.load_flows", lambda *_, **__: module)


def _an_incomplete_end(calls: Calls) -> None:
    calls.monkeypatch.setattr("mnist_pipeline.cli.score._lines", lambda *_: [])
    calls.monkeypatch.setattr("mnist_pipeline.scoring.summary.remarks", lambda _: [])
    calls.monkeypatch.setattr("mnist_pipeline.scoring.summary.is_complete", lambda _: False)


TERMINAL: tuple[Words, Changes] = (
    ["--json", "--quiet", "--verbose"],
    {"terminal.as_json": True, "terminal.quiet": True, "terminal.verbose": True},
)
"""What every command has."""


def options_of(call: str, *names: str) -> dict[str, tuple[Words, Changes]]:
    """Options that are arguments of the same name."""
    return {f"--{name}": ([f"--{name}", "x"], {f"{call}.{name}": "x"}) for name in names}


def configuration(at: str) -> dict[str, tuple[Words, Changes]]:
    """The options that every training has; ``at`` is what the configuration is called where it arrives."""
    codelab = dict(flat(f"{at}training", PRESETS["codelab"]))
    return {
        "--preset": (["--preset", "codelab"], codelab),
        "--dataset": (
            ["--dataset", "digits"],
            {f"{at}fetch.dataset": "digits", f"{at}fetch.fall_back_to_digits": False},
        ),
        "--source": (["--source", "/data"], {f"{at}fetch.source": "/data", f"{at}fetch.fall_back_to_digits": False}),
        "--device": (["--device", "cpu"], {f"{at}training.device": "cpu", f"{at}evaluation.device": "cpu"}),
        "--extra-images": (["--extra-images", "."], {f"{at}fetch.extra_images": Path.cwd}),
        "--set": (["--set", "training.label_smoothing=0.125"], {f"{at}training.label_smoothing": 0.125}),
        "--config": (["--config", "run.toml"], {f"{at}export.opset": 18}),
    }


def training(at: str) -> dict[str, tuple[Words, Changes]]:
    return {
        "--seed": (["--seed", "7"], {f"{at}training.seed": 7}),
        "--epochs": (["--epochs", "3"], {f"{at}training.epochs": 3, f"{at}training.min_batches": 0}),
        "--batch-size": (["--batch-size", "33"], {f"{at}training.batch_size": 33}),
        "--learning-rate": (["--learning-rate", "0.25"], {f"{at}training.learning_rate": 0.25}),
        "--max-minutes": (["--max-minutes", "1.5"], {f"{at}training.max_minutes": 1.5}),
    }


def publishing(at: str) -> dict[str, tuple[Words, Changes]]:
    return {
        "--registry": (["--registry", "s3://b/p"], {f"{at}registry": "s3://b/p"}),
        "--sign-key": (["--sign-key", "key.pem"], {f"{at}sign_key": Path("key.pem")}),
    }


def workspace(*places: str) -> dict[str, tuple[Words, Changes]]:
    return {"--workspace": (["--workspace", "there"], dict.fromkeys(places, Path("there").absolute))}


def of_a_run(call: str) -> dict[str, tuple[Words, Changes]]:
    other = {f"{call}.run.workspace": Path("there").absolute, f"{call}.run.directory": "there-1"}
    return {
        "run_id": (["here-1"], {f"{call}.run.directory": "here-1"}),
        "--workspace": (["--workspace", "there"], other),
    }


REGISTRY: Mapping[str, tuple[Words, Changes]] = {
    "--workspace": (["--workspace", "there"], {"find_registry.workspace": Path("there")}),
    "--registry": (["--registry", "s3://b/p"], {"find_registry.location": "s3://b/p"}),
}


def of_a_model(method: str) -> dict[str, tuple[Words, Changes]]:
    return {**REGISTRY, "--name": (["--name", "other"], {f"{method}.model": "other"})}


MODEL: Mapping[str, tuple[Words, Changes]] = {
    **options_of("find_scoring_model", "model", "name", "registry"),
    "--workspace": (["--workspace", "there"], {"find_scoring_model.workspace": Path("there")}),
}
FRESH: Mapping[str, tuple[Words, Changes]] = {"--fresh": (["--fresh"], {"start.fresh": True})}

COMMANDS: list[Command] = [
    Command(
        ["run-all"],
        a_flow("run_all"),
        {
            **configuration("flow."),
            **training("flow."),
            **publishing("flow.publishing."),
            **workspace("flow.workspace"),
            "--fresh": (["--fresh"], {"flow.fresh": True}),
        },
    ),
    Command(
        ["retrain"],
        a_flow("retrain"),
        {
            **{
                name: (words, {key: value for key, value in changes.items() if "fall_back" not in key})
                for name, (words, changes) in configuration("flow.").items()
            },
            **publishing("flow.publishing."),
            **workspace("flow.workspace"),
            "--force": (["--force"], {"flow.force": True}),
        },
    ),
    Command(
        ["fetch"],
        library("mnist_pipeline.data.fetch.fetch_dataset"),
        {
            "--dataset": (
                ["--dataset", "digits"],
                {"fetch_dataset.config.dataset": "digits", "fetch_dataset.config.fall_back_to_digits": False},
            ),
            "--source": (
                ["--source", "/data"],
                {"fetch_dataset.config.source": "/data", "fetch_dataset.config.fall_back_to_digits": False},
            ),
            **workspace("fetch_dataset.workspace"),
        },
    ),
    Command(
        ["train"],
        lambda calls: calls.replace("mnist_pipeline.runs.run.Run.start"),
        {
            **configuration("start.config."),
            **training("start.config."),
            **workspace("start.workspace"),
            **FRESH,
        },
    ),
    Command(["export"], a_step("export"), {**of_a_run("export"), "--fresh": (["--fresh"], {"export.run.fresh": True})}),
    Command(
        ["evaluate"],
        a_step("evaluate"),
        {**of_a_run("evaluate"), "--fresh": (["--fresh"], {"evaluate.run.fresh": True})},
    ),
    Command(["publish"], a_step("publish"), {**of_a_run("publish"), **publishing("publish.config.")}),
    Command(
        ["serve", "--workers", "2", "--host", "localhost"],
        a_server,
        {
            "--host": (["--host", "::1"], {"listen.host": "::1", "create_app.settings.access.names": own_names("::1")}),
            "--port": (["--port", "0"], {"listen.port": 0}),
            "--model": (["--model", "3f9c"], {"create_app.settings.wanted.model": "3f9c"}),
            "--name": (["--name", "mnist"], {"create_app.settings.wanted.name": "mnist"}),
            "--workspace": (["--workspace", "there"], {"create_app.settings.wanted.workspace": Path("there")}),
            "--registry": (["--registry", "s3://b/m"], {"create_app.settings.wanted.registry": "s3://b/m"}),
            "--open": (["--open"], {"open.url": "http://localhost:8000/", "open.new": 0, "open.autoraise": True}),
            "--token": (["--token", "t" * 16], {"create_app.settings.access.token": "t" * 16}),
            "--allow-host": (
                ["--allow-host", "Digits"],
                {"create_app.settings.access.names": own_names("localhost") | {"digits"}},
            ),
            "--workers": (["--workers", "3"], {"create_app.settings.workers": 3}),
            "--max-megabytes": (["--max-megabytes", "2"], {"create_app.settings.max_bytes": 2_000_000}),
        },
    ),
    Command(
        ["serve", "--workers", "2", "--review", "rows.csv", "--images", "scans"],
        a_review,
        {
            "--review": (["--review", "rows.jsonl"], {"open_review.output": Path("rows.jsonl")}),
            "--images": (["--images", "other"], {"open_review.location.root": lambda: os.path.realpath("other")}),
            "--review-count": (["--review-count", "200"], {"open_review.count": 200}),
            "--labels": (["--labels", "s3://b/labels"], {"open_labels.location": "s3://b/labels"}),
            "--open": (["--open"], {"open.url": "http://127.0.0.1:8000/review", "open.new": 0, "open.autoraise": True}),
        },
    ),
    Command(
        ["classify", "7.png"],
        a_classification,
        {
            "files": (["8.png"], {"classify_image.name": b"8.png"}),
            **MODEL,
            "--preprocess": (["--preprocess", "mnist"], {"classify_image.mode": "mnist"}),
            "--min-confidence": (["--min-confidence", "0.75"], {"choose_threshold.min_confidence": 0.75}),
        },
    ),
    Command(
        ["classify", "7.png", "--no-picture"],
        a_classification,
        {"--picture": (["--picture"], {"picture.shape": (28, 28)})},
    ),
    Command(
        ["score", "scans", "--output", "rows.csv"],
        a_score,
        {
            "--output": (["-o", "rows.jsonl"], {"score.output": Path("rows.jsonl").absolute}),
            "--report": (["--report", "page.html"], {"score.report": Path("page.html").absolute}),
            **MODEL,
            "--preprocess": (["--preprocess", "resize"], {"score.config.preprocess": "resize"}),
            "--min-confidence": (["--min-confidence", "0.75"], {"score.config.min_confidence": 0.75}),
            "--probabilities": (["--probabilities"], {"score.config.probabilities": True}),
            "--device": (["--device", "cpu"], {"score.config.device": "cpu"}),
            "--workers": (["--workers", "3"], {"score.config.workers": 3}),
            "--overwrite": (["--overwrite"], {"score.config.overwrite": True}),
            "--resume": (["--resume"], {"score.config.resume": True}),
            "--strict": (["--strict"], {"exit_code": 4}),
        },
    ),
    Command(
        ["score", "scans", "--output", "rows.csv", "--review", "sheet.html"],
        a_review_sheet,
        {
            "--review": (["--review", "other.html"], {"score.review": Path("other.html").absolute}),
            "--review-count": (["--review-count", "200"], {"review_sheet.count": 200}),
        },
    ),
    Command(
        ["score", "--output", "rows.csv", "--files-from", "list.txt"],
        a_score,
        {"--files-from": (["--files-from", "other.txt"], {"score.names": "other.txt"})},
    ),
    Command(
        ["score", "--output", "rows.csv", "--dask-scheduler", "tcp://127.0.0.1:1", "scans"],
        a_score_on_dask,
        {
            "--dask-scheduler": (
                ["--dask-scheduler", "tcp://127.0.0.1:2"],
                {"flow.dask_scheduler": "tcp://127.0.0.1:2"},
            ),
            **options_of("flow", "model", "name", "registry"),
            "--workspace": (["--workspace", "there"], {"flow.workspace": Path("there")}),
            "--report": (["--report", "page.html"], {"flow.report": Path("page.html")}),
            "--workers": (["--workers", "3"], {"flow.config.workers": 3}),
        },
    ),
    Command(
        ["report"],
        a_report,
        {
            "target": (["here-1"], {"draw_report.run.directory": "here-1"}),
            "--workspace": (
                ["--workspace", "there"],
                {"draw_report.run.workspace": Path("there").absolute, "draw_report.run.directory": "there-1"},
            ),
            "--open": (["--open"], {"browser.url": "report.html"}),
        },
    ),
    Command(
        ["report", "0123"],
        a_version_report,
        {**REGISTRY, "--name": (["--name", "other"], {"resolve.model": "other"})},
    ),
    Command(
        ["report", "here-1", "--compare", "here-2"],
        a_comparison,
        {
            "--compare": (
                ["--compare", "here-1", "--output", "p.html"],
                {
                    "write_comparison.b": "here-1",
                    "write_comparison.path": Path("p.html"),
                },
            ),
            "--output": (["--output", "p.html"], {"write_comparison.path": Path("p.html")}),
            "--overwrite": (["--overwrite"], {"check_destinations.replace": "anything"}),
        },
    ),
    Command(
        ["deploy"],
        a_deployment,
        {
            **workspace("load.workspace"),
            "--preset": (["--preset", "codelab"], {"load.parameters.training.preset": "codelab"}),
            "--dataset": (["--dataset", "digits"], {"load.parameters.fetch.dataset": "digits"}),
            "--source": (["--source", "/data"], {"load.parameters.fetch.source": "/data"}),
            "--device": (
                ["--device", "cpu"],
                {"load.parameters.training.device": "cpu", "load.parameters.evaluation.device": "cpu"},
            ),
            "--extra-images": (
                ["--extra-images", "scans"],
                {"load.parameters.fetch.extra_images": lambda: str(Path("scans").absolute())},
            ),
            "--set": (["--set", "training.seed=5"], {"load.parameters.training.seed": 5}),
            "--config": (["--config", "run.toml"], {"load.parameters.export.opset": 18}),
            "--registry": (["--registry", "s3://b/p"], {"load.parameters.publishing.registry": "s3://b/p"}),
            "--pool": (["--pool", "x"], {"load.pool": "x", "register.pool": "x"}),
            "--cron": (["--cron", "0 5 * * 1"], {"load.cron": "0 5 * * 1"}),
            "--timezone": (["--timezone", "Europe/Berlin"], {"load.timezone": "Europe/Berlin"}),
            "--serve": (["--serve"], {"serve_here.called": True, "register.pool": None}),
        },
    ),
    Command(
        ["doctor"],
        library("mnist_pipeline.doctor.diagnose"),
        {
            "--dataset": (
                ["--dataset", "digits"],
                {"diagnose.config.dataset": "digits", "diagnose.config.fall_back_to_digits": False},
            ),
            "--source": (
                ["--source", "/data"],
                {"diagnose.config.source": "/data", "diagnose.config.fall_back_to_digits": False},
            ),
            **workspace("diagnose.workspace"),
        },
    ),
    Command(
        ["runs", "list"],
        a_list_of_runs,
        {"--limit": (["--limit", "3"], {"runs.taken": 3}), **workspace("runs.workspace")},
    ),
    Command(
        ["runs", "show"],
        library("mnist_pipeline.runs.run.Run.open"),
        {"run_id": (["here-1"], {"open.run_id": "here-1"}), **workspace("open.workspace")},
    ),
    Command(
        ["labels", "add", "scans", "--by", "anna"],
        own_labels("add"),
        {**LABELS, "--by": (["--by", "ben"], {"add.by": "ben"})},
    ),
    Command(["labels", "list"], own_labels("catalogue"), LABELS),
    Command(
        ["labels", "conflicts", "--settle", "0123", "--label", "7", "--by", "anna"],
        own_labels("settle"),
        {
            **LABELS,
            "--settle": (["--settle", "4567"], {"settle.0": "4567"}),
            "--label": (["--label", "none"], {"settle.1": "none"}),
            "--by": (["--by", "ben"], {"settle.by": "ben"}),
        },
    ),
    Command(["models", "list"], a_registry("versions"), of_a_model("versions")),
    Command(
        ["models", "show"],
        a_registry("resolve"),
        {**of_a_model("resolve"), "reference": (["candidate"], {"resolve.reference": "candidate"})},
    ),
    Command(
        ["models", "promote", "0123", "--reason", "because"],
        a_registry("promote"),
        {
            **of_a_model("promote"),
            "--reason": (["--reason", "better"], {"promote.reason": "better"}),
        },
    ),
    Command(
        ["models", "rollback", "--reason", "because"],
        a_registry("rollback"),
        {**of_a_model("rollback"), "--reason": (["--reason", "worse"], {"rollback.reason": "worse"})},
    ),
    Command(
        ["models", "approve", "--reason", "because"],
        a_registry("approve"),
        {
            **of_a_model("approve"),
            "version": (["0123"], {"approve.reference": "0123"}),
            "--reason": (["--reason", "looked at"], {"approve.reason": "looked at"}),
        },
    ),
    Command(
        ["models", "reject", "--reason", "because"],
        a_registry("reject"),
        {
            **of_a_model("reject"),
            "version": (["0123"], {"reject.reference": "0123"}),
            "--reason": (["--reason", "looked at"], {"reject.reason": "looked at"}),
        },
    ),
    Command(
        ["models", "explain"],
        an_explanation,
        {
            **of_a_model("explain"),
            "--workspace": (
                ["--workspace", "there"],
                {"find_registry.workspace": Path("there"), "explain.workspace": Path("there")},
            ),
            "reference": (["0123"], {"explain.reference": "0123"}),
        },
    ),
    Command(
        ["models", "verify"],
        a_registry("verify"),
        {
            **of_a_model("verify"),
            "version": (["0123"], {"verify.reference": "0123"}),
            "--public-key": (["--public-key", "p.pem"], {"verify.public_key": Path("p.pem")}),
        },
    ),
    Command(
        ["models", "verify", "--name", "other"], a_registry("verify"), {"--all": (["--all"], {"verify.model": "mnist"})}
    ),
    Command(["models", "history"], a_registry("history"), of_a_model("history")),
    Command(["models", "at", "2026-01-01"], a_registry("history"), of_a_model("history")),
    Command(
        ["models", "prune", "--keep", "5"],
        a_registry("prune"),
        {
            **of_a_model("prune"),
            "--keep": (["--keep", "2"], {"prune.keep": 2}),
            "--dry-run": (["--dry-run"], {"prune.dry_run": True}),
            "--reason": (["--reason", "full disk"], {"prune.reason": "full disk"}),
        },
    ),
]
ELSEWHERE = {
    ("train", "--watch"): "tests/web/test_watching.py",
    ("run-all", "--watch"): "as for train",
    ("serve", "--insecure"): "tests/web/test_access.py",
    ("train", "--list-presets"): "shows the presets: test_configure",
    ("models promote", "version"): "the argument of every case",
    ("labels add", "source"): "the argument of every case",
    ("models at", "when"): "the argument of every case",
    ("score", "folder"): "the argument of every case",
}


def leaves(command: Any, *words: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(words), command
    for name, child in (children or {}).items():
        yield from leaves(child, *words, name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs in two workspaces, a configuration and lists."""
    tmp_path = tmp_path_factory.mktemp("folder")
    for folder, run_ids in (("artifacts", ("here-1", "here-2")), ("there", ("there-1",))):
        for run_id in run_ids:
            run = Run.start(Workspace(tmp_path / folder), PipelineConfig())
            run.directory.path.rename(run.directory.path.with_name(run_id))
    for name in ("list.txt", "other.txt", "scans"):
        (tmp_path / name).touch()
    (tmp_path / "run.toml").write_text("[export]\nopset = 18\n")
    return tmp_path


def run(words: Words, command: Command) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        calls = Calls(monkeypatch)
        configure = Terminal.configure

        def record(terminal: Terminal, **wanted: bool) -> None:
            calls.note("terminal", wanted)
            configure(terminal, **wanted)

        monkeypatch.setattr(Terminal, "configure", record)
        command.library(calls)
        result = CliRunner().invoke(app, words)
    assert result.exit_code in {0, 1, 4}, result.output
    return {**calls.got, "exit_code": result.exit_code}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.words))
def test_an_option_reaches_the_library_and_changes_nothing_else(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    plain = run(command.words, command)
    for words, changes in [TERMINAL, *command.options.values()]:
        expected = plain | {key: one() if callable(one) else one for key, one in changes.items()}
        found = run([*command.words, *words], command)
        assert found == {key: value for key, value in expected.items() if value is not None or key in found}, words


def test_no_option_is_left_out() -> None:
    missing = {
        (name, option)
        for name, command in leaves(typer.main.get_command(app))
        for parameter in command.params
        for option in [parameter.opts[0] if parameter.param_type_name == "option" else parameter.name]
        if option not in TERMINAL[0]
        if not any(" ".join(case.words).startswith(name) and option in case.options for case in COMMANDS)
    }
    assert missing == set(ELSEWHERE)
