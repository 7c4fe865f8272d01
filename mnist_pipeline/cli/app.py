"""The application: which commands there are, and how any of them ends."""

import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mnist_pipeline.cli import (
    classify,
    deploy,
    doctor,
    flows,
    labels,
    models,
    pipeline,
    report,
    runs,
    score,
    serve,
)
from mnist_pipeline.cli.failures import explain
from mnist_pipeline.cli.options import PREFIX, as_command
from mnist_pipeline.cli.process import stand_in_for_home
from mnist_pipeline.cli.terminal import Terminal
from mnist_pipeline.errors import PipelineError, UsageError

NAME = "mnist-pipeline"


class CommandGroup(TyperGroup):
    """Runs a command; whatever happens, it ends with an exit code and at most one line of error."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        words = list(sys.argv[1:] if args is None else args)
        terminal = Terminal(as_json="--json" in words)  # until the command has read its options
        try:
            _refuse_blanks(words)
            code = super().main(words, *rest, **{**extra, "standalone_mode": False, "obj": terminal})
        except Exception as error:
            code = _fail(terminal, error)
        sys.exit(_flush(terminal, code or 0))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            typer.echo(ctx.get_help())  # and the parser says that there is no command
        return super().parse_args(ctx, args)

    def format_commands(self, _: Any, formatter: Any) -> None:
        """Every command with the whole of its first paragraph; Click would cut it where the line ends."""
        paragraphs = {name: (command.help or "").partition("\n\n")[0] for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, " ".join(text.split())) for name, text in paragraphs.items()])

    def invoke(self, ctx: Any) -> Any:
        try:
            stand_in_for_home()
            return super().invoke(ctx)
        except (typer.Exit, SystemExit):
            raise
        except BaseException as error:
            raise typer.Exit(_fail(ctx.obj, error)) from None


def _fail(terminal: Terminal, error: BaseException) -> int:
    """Say why the command ends; its exit code."""
    code, message = explain(error)
    if not isinstance(error, PipelineError | typer.TyperException):
        terminal.trace(error)
    terminal.fail(message)
    return code


def _flush(terminal: Terminal, code: int) -> int:
    """The exit code, once all that the command said has arrived."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return _fail(terminal, error)
    return code


def _refuse_blanks(words: Sequence[str]) -> None:
    """Refuse an argument that is blank: what a script made of a variable that is not set means nothing here."""
    for before, word in pairwise([NAME, *words]):
        name, equals, value = word.partition("=")
        if word.startswith("--") and equals and not value.strip():
            raise UsageError(f"{name} is blank; give it a value or leave it out")
        if not word.strip():
            raise UsageError(f"the argument after {before} is blank; give it a value or leave it out")
    for name, value in os.environ.items():
        if name.startswith(PREFIX) and value and not value.strip():
            raise UsageError(f"{name} is blank; give it a value or unset it")


def _show_version(wanted: bool) -> None:
    if wanted:
        from mnist_pipeline import __version__

        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """From a labelled image sprite to a proven, published ONNX model; and scoring with it."""


def _group(*functions: Callable[..., None], **how: Any) -> typer.Typer:
    """The functions as commands, which have their names."""
    group = typer.Typer(cls=CommandGroup, **how)
    for function in functions:
        group.command(function.__name__.rstrip("_").replace("_", "-"))(as_command(function))
    return group


app = _group(
    flows.run_all,
    flows.retrain,
    pipeline.fetch,
    pipeline.train,
    pipeline.export,
    pipeline.evaluate,
    pipeline.publish,
    classify.classify,
    score.score,
    serve.serve,
    report.report,
    deploy.deploy,
    doctor.doctor,
    name=NAME,
    callback=root,
    pretty_exceptions_enable=False,
    # Help is laid out for 80 columns, whatever the terminal has: in narrower ones names would be cut or broken.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 80},
)
of_runs = _group(runs.list_, runs.show, help="Runs of the pipeline.")
of_labels = _group(
    labels.add, labels.list_, labels.conflicts, help="Own labelled images: for training, and for a test of one's own."
)
of_models = _group(
    models.list_,
    models.show,
    models.verify,
    models.history,
    models.at,
    models.prune,
    models.explain,
    models.promote,
    models.rollback,
    models.approve,
    models.reject,
    help="Published models: versions, aliases, history.",
)
for group, name in ((of_runs, "runs"), (of_labels, "labels"), (of_models, "models")):
    app.add_typer(group, name=name)
