"""The options that several commands share. Each one that makes sense in a deployment is an environment variable too."""

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperOption

import mnist_pipeline

Workspace = Annotated[
    Path,
    typer.Option("--workspace", envvar="MNIST_PIPELINE_WORKSPACE", help="Folder of datasets, runs and models."),
]
WORKSPACE = Path("artifacts")
Preset = Annotated[
    str | None,
    typer.Option("--preset", envvar="MNIST_PIPELINE_PRESET", help="Named training; see train --list-presets."),
]
Dataset = Annotated[
    str | None,
    typer.Option("--dataset", envvar="MNIST_PIPELINE_DATASET", help="mnist, digits or a description (.toml)."),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source", envvar="MNIST_PIPELINE_SOURCE", help="Mirror of the dataset: directory, or https, s3 or file URL."
    ),
]
Device = Annotated[
    mnist_pipeline.Device | None,
    typer.Option("--device", envvar="MNIST_PIPELINE_DEVICE", help="Where to compute; gpu fails without one."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", envvar="MNIST_PIPELINE_SEED", help="Seed of weights, order, augmentation.")
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Passes over the train rows.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Images per training step.")]
LearningRate = Annotated[float | None, typer.Option("--learning-rate", help="Learning rate, or its peak.")]
MaxMinutes = Annotated[
    float | None,
    typer.Option("--max-minutes", help="Stop fitting after so many minutes, with the best weights so far."),
]
ExtraImages = Annotated[
    Path | None,
    typer.Option(
        "--extra-images",
        envvar="MNIST_PIPELINE_EXTRA_IMAGES",
        metavar="DIR",
        help="Labelled images to add to the own labels first: a folder per class.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any field, such as training.label_smoothing=0.1; repeatable."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", envvar="MNIST_PIPELINE_CONFIG", help="TOML file with the same fields.", dir_okay=False),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do every step again, reuse nothing.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show the run in the browser while it goes on, and after it.")]
RunId = Annotated[str | None, typer.Argument(metavar="[RUN]", help="Run id; by default the latest run.")]
ModelName = Annotated[
    str | None,
    typer.Option("--name", envvar="MNIST_PIPELINE_MODEL", help="Name of the model; not needed where there is one."),
]
Model = Annotated[
    str,
    typer.Option("--model", help="champion, an alias, a version, the beginning of one, or FILE.onnx."),
]
Preprocess = Annotated[
    mnist_pipeline.PreprocessMode, typer.Option("--preprocess", help="auto leaves images in MNIST's form untouched.")
]
MinConfidence = Annotated[
    float | None,
    typer.Option("--min-confidence", help="Below it, no_digit; by default the model's own threshold."),
]
Registry = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="MNIST_PIPELINE_REGISTRY",
        help="Folder or s3://bucket/prefix; by default the workspace's own.",
    ),
]
SignKey = Annotated[
    Path | None,
    typer.Option("--sign-key", envvar="MNIST_PIPELINE_SIGN_KEY", help="PEM file of an Ed25519 key; signs the version."),
]
Labels = Annotated[
    str | None, typer.Option("--labels", help="Folder or s3://bucket/prefix; by default the workspace's own.")
]
ReviewCount = Annotated[int, typer.Option("--review-count", min=1, max=10_000, help="Images that people answer.")]
REVIEW_COUNT = 150


def terminal_options() -> list[TyperOption]:
    """What every command takes (`app.CommandGroup`), and no command sees: it has a terminal that does as they say."""

    def configure(ctx: typer.Context, option: TyperOption, value: bool) -> None:
        if ctx.obj is not None:
            ctx.obj.configure(**{str(option.name): value})

    words = {
        ("--json", "as_json"): "One JSON object on stdout; progress and logs go to stderr.",
        ("--quiet", "-q"): "No progress; errors only.",
        ("--verbose", "-v"): "Show the library's log, and where an error came from.",
    }
    return [
        TyperOption(
            param_decls=list(names), is_flag=True, default=False, help=text, callback=configure, expose_value=False
        )
        for names, text in words.items()
    ]
