"""What a candidate is made of, and what was decided before of versions that were made alike."""

from collections.abc import Iterator
from contextlib import suppress

from mnist_pipeline import __version__
from mnist_pipeline.errors import RegistryError
from mnist_pipeline.evaluation.schema import Check, Evaluation
from mnist_pipeline.files import read_json
from mnist_pipeline.publishing.evidence import Pairs
from mnist_pipeline.publishing.gate import Past
from mnist_pipeline.registry import Change, History, Lineage, PublishedVersion, Registry, digest_of
from mnist_pipeline.runs.artifacts import ExtraImages, FetchedDataset, PublishedModel
from mnist_pipeline.runs.fingerprint import ONNXRUNTIME, code_digest, installed_version
from mnist_pipeline.runs.run import Run, runs
from mnist_pipeline.runs.wording import moment
from mnist_pipeline.workspace import Workspace

FRAMEWORKS = ("tensorflow", "keras", "tf2onnx", "onnx", *ONNXRUNTIME, "numpy")


def describe_lineage(
    dataset: FetchedDataset, run: Run, *, extra_images: int, extra_images_digest: str | None, parent: str | None
) -> Lineage:
    """Of what the run makes its candidate now.

    Args:
        dataset: the data.
        run: its config.json is the configuration.
        extra_images: images that are fitted besides the dataset's train rows.
        extra_images_digest: theirs; None without such images.
        parent: today's champion.
    """
    config = read_json(run.directory.config)
    return Lineage(
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        extra_images=extra_images,
        extra_images_digest=extra_images_digest,
        config_digest=digest_of(config),
        code_version=__version__,
        code_digest=code_digest(),
        frameworks=frameworks(),
        run=run.directory.id,
        preset=config["training"]["preset"],
        seed=config["training"]["seed"],
        parent=parent,
    )


def frameworks() -> dict[str, str]:
    """Package -> version, of those that a model depends on and that are installed."""
    installed = {name: installed_version(name) for name in FRAMEWORKS}
    return {name: version for name, version in installed.items() if version != "absent"}


def find_past(registry: Registry, model: str, version: str, evaluation: Evaluation) -> Past:
    """The other candidates that were measured on these test rows, and those before this one that say something of it.

    Args:
        registry: its history has an entry for each.
        model: name of the model.
        version: the candidate's.
        evaluation: of the candidate.
    """
    own = {("evaluate", version), ("publish", version)}
    changes = registry.history(model).changes
    history = History(tuple(change for change in changes if (change.action, change.after) not in own), "")
    return Past(
        challengers=[Pairs(one.fixed, one.broken) for one in history.challengers],
        accuracies=[
            one.accuracy
            for one in history.measured.values()
            if (one.dataset, one.samples) == (evaluation.dataset, evaluation.samples)
        ],
    )


def find_judged(
    registry: Registry, model: str, dataset: FetchedDataset, extra: ExtraImages | None, run: Run
) -> tuple[PublishedVersion, str | None] | None:
    """The version that a training now would make again, and the champion; None where something new could be said.

    A training would make it again where it starts from the very data, config, code and packages. What was said of the
    champion stands; so does what was said of another version since the last entry of the history.
    """
    images, digest = (extra.images, extra.digest) if extra else (0, None)
    now = describe_lineage(dataset, run, extra_images=images, extra_images_digest=digest, parent=None)
    champion = registry.champion(model)
    for version in filter(None, [champion, *_judged_since_last_change(registry, model, run.workspace)]):
        with suppress(RegistryError):  # it was pruned, or is another registry's
            if registry.manifest(model, version).lineage.made_alike(now):
                return registry.resolve(model, version), champion
    return None


def _judged_since_last_change(registry: Registry, model: str, workspace: Workspace) -> Iterator[str]:
    """Versions that runs of the workspace have judged and that nothing in the history came after, latest first."""
    changes = registry.history(model).changes
    for run in runs(workspace, mentioning=PublishedModel.step):
        record, published = run.record, run.peek(PublishedModel)
        if published and record.finished and changes and record.finished >= changes[-1].time:
            yield published.version


def find_withdrawal(
    registry: Registry, model: str, version: str, lineage: Lineage, champion: PublishedVersion | None
) -> Check | None:
    """A person's decision against this version, or against one that was made alike, as a check that fails.

    None without a champion, and where the champion is the candidate itself or was made alike too.
    """
    withdrawn = registry.history(model).withdrawn
    if version in withdrawn:
        return _withdrawn("This version", version, withdrawn[version])
    if champion and (champion.version == version or champion.manifest.lineage.made_alike(lineage)):
        return None
    for other, change in withdrawn.items():
        with suppress(RegistryError):  # it was pruned
            if registry.manifest(model, other).lineage.made_alike(lineage):
                alike = f"Version {other}, made of the same data, configuration, code and packages,"
                return _withdrawn(alike, other, change)
    return None


def _withdrawn(which: str, version: str, change: Change) -> Check:
    if change.action == "reject":
        decided = f"was rejected by {change.who}"
    else:
        decided = f"was champion until {change.who} put {change.after} in its place"
    sentence = (
        f"{which} {decided} on {moment(change.time)} ({change.reason}), and no run undoes that; to bring it "
        f"back: mnist-pipeline models promote {version} --reason TEXT."
    )
    return Check(name="person's decision", value=None, threshold=None, passed=False, sentence=sentence)
