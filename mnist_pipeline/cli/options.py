"""The options that several commands share. Each one that makes sense in a deployment is an environment variable too."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import mnist_pipeline

if TYPE_CHECKING:
    from mnist_pipeline.registry import Registry

PREFIX = "MNIST_PIPELINE_"
"""Of every environment variable."""


def setting(name: str, text: str, **how: Any) -> Any:
    """An option that makes sense in a deployment: its environment variable is `PREFIX` and its name.

    Args:
        name: such as ``--sign-key``.
        text: its help.
        how: further arguments of `typer.Option`.
    """
    variable = PREFIX + name.removeprefix("--").replace("-", "_").upper()
    return typer.Option(name, help=text, **{"envvar": variable, **how})


Workspace = Annotated[Path, setting("--workspace", "Folder of datasets, runs and models.")]
WORKSPACE = Path("artifacts")
Device = Annotated[mnist_pipeline.Device | None, setting("--device", "Where to compute; gpu fails without one.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do every step again, reuse nothing.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show the run in the browser while it goes on, and after it.")]
Model = Annotated[
    str, typer.Option("--model", help="champion, an alias, a version, the beginning of one, or FILE.onnx.")
]
Preprocess = Annotated[
    mnist_pipeline.PreprocessMode, typer.Option("--preprocess", help="auto leaves images in MNIST's form untouched.")
]
MinConfidence = Annotated[
    float | None, typer.Option("--min-confidence", help="Below it, no_digit; by default the model's own threshold.")
]
Location = Annotated[str | None, setting("--registry", "Folder or s3://bucket/prefix; by default the workspace's own.")]
Labels = Annotated[
    str | None, typer.Option("--labels", help="Folder or s3://bucket/prefix; by default the workspace's own.")
]
ReviewCount = Annotated[int, typer.Option("--review-count", min=1, max=10_000, help="Images that people answer.")]
REVIEW_COUNT = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """Which registry is meant, and which model in it."""

    name: Annotated[
        str | None,
        setting("--name", "Name of the model; not needed where there is one.", envvar="MNIST_PIPELINE_MODEL"),
    ] = None
    workspace: Workspace = WORKSPACE
    registry: Location = None

    def open(self) -> "Registry":
        """As `registry.lookup.find_registry`."""
        from mnist_pipeline.registry import lookup  # heavy

        return lookup.find_registry(self.workspace, self.registry)

    def find(self) -> "tuple[Registry, str]":
        """The registry, and the model in it that is meant, as `registry.lookup.pick_model` says."""
        from mnist_pipeline.registry.lookup import pick_model

        registry = self.open()
        return registry, pick_model(registry, self.name)


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """A command as Typer takes it.

    Its first argument is the terminal, whose options come last. A parameter whose type is a dataclass has its fields
    as options; ``Annotated[Group, "name other"]`` takes only these of them.
    """
    terminal, *parameters = signature(function).parameters.values()
    options = [Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    for one in (*parameters, terminal):
        options += _options(one.name, one.annotation, one.default)

    @wraps(function)
    def command(ctx: typer.Context, **values: Any) -> None:
        ctx.obj.configure(**{one.name: values[one.name] for one in _members(terminal.annotation)})
        function(ctx.obj, **{one.name: _value(one.name, one.annotation, values) for one in parameters})

    command.__signature__ = Signature(options)  # type: ignore[attr-defined]  # what `inspect.signature` reads first
    command.__annotations__ = {one.name: one.annotation for one in options}
    return command


def _options(name: str, annotation: Any, default: Any) -> Iterator[Parameter]:
    if not is_dataclass(_group(annotation)):
        default = Parameter.empty if default is MISSING else default
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        return
    for one in _members(annotation):
        yield from _options(one.name, one.type, one.default)


def _value(name: str, annotation: Any, values: Mapping[str, Any]) -> Any:
    if not is_dataclass(_group(annotation)):
        return values[name]
    return _group(annotation)(**{one.name: _value(one.name, one.type, values) for one in _members(annotation)})


def _group(annotation: Any) -> Any:
    return getattr(annotation, "__origin__", annotation)


def _members(annotation: Any) -> "list[Field[Any]]":
    [wanted] = getattr(annotation, "__metadata__", [None])
    return [one for one in fields(_group(annotation)) if wanted is None or one.name in wanted.split()]
