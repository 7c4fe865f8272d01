"""What a storage holds of a model: history, manifests, and the version that a name means."""

import datetime as dt

from mnist_pipeline.errors import IntegrityError, RegistryError
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.registry.history import ALIASES_FILE, HISTORY_FILE, History, Publication
from mnist_pipeline.registry.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    Manifest,
    check_alias_name,
    check_model_name,
    is_version_name,
    is_version_prefix,
    parse_manifest,
)
from mnist_pipeline.registry.storage import Storage
from mnist_pipeline.schema import Record


class VersionSummary(Record):
    """A row of the list of versions."""

    version: str
    created: dt.datetime
    accuracy: float
    samples: int
    dataset: str
    preset: str
    run: str
    bytes: int
    """Size of model.onnx."""
    promoted: bool
    """The gate let it become champion when it was published; ``aliases`` tell whether it is."""
    aliases: list[str]


NO_ALIASES = History((), "").render_aliases()


def parse_history(storage: Storage, model: str, data: bytes) -> History:
    """The history of ``model`` from the bytes of its file.

    Raises:
        IntegrityError: a line is not what was written, or the whole file was lost.
    """
    # The history is written before the aliases: aliases without a history are what a loss leaves behind.
    if not data and (storage.read_aliases(model) or NO_ALIASES) != NO_ALIASES:
        raise IntegrityError(
            f"{model}/{HISTORY_FILE} is missing in {storage.location} though {ALIASES_FILE} is there; "
            f"restore it from a copy, or delete {ALIASES_FILE} to begin a new history"
        )
    return History.parse(data, f"{model}/{HISTORY_FILE}")


def read_history(storage: Storage, model: str) -> History:
    """The history of ``model``; empty where nothing was published.

    Raises:
        UsageError: the name is malformed.
        IntegrityError: a line is not what was written, or the whole file was lost.
    """
    return parse_history(storage, model, storage.read_history(check_model_name(model)))


def read_manifest(storage: Storage, model: str, version: str, history: History) -> Manifest:
    """The manifest of a version, checked against the digest in the history.

    Raises:
        RegistryError: there is no such version.
        IntegrityError: the manifest is not what was published.
    """
    data = storage.read_manifest(model, version)
    if data is None:
        raise RegistryError(f"{storage.location} has no {model} {version}; see: mnist-pipeline models list")
    recorded = history.published.get(version)
    if recorded and recorded.manifest_sha256 != (found := sha256_bytes(data)):
        raise IntegrityError(
            f"{model}/{version}/{MANIFEST_FILE} has SHA-256 {found}, "
            f"published was {recorded.manifest_sha256}; restore it from a copy"
        )
    return parse_manifest(data, model, version)


def read_publication(storage: Storage, model: str, version: str) -> Publication | None:
    """What the history should say of a version; None where it is not there."""
    data = storage.read_manifest(model, version)
    if data is None:
        return None
    manifest = parse_manifest(data, model, version)
    signature = storage.read_signature(model, version, sha256_bytes(data))
    return Publication(
        manifest_sha256=sha256_bytes(data),
        signature_sha256=sha256_bytes(signature) if signature else None,
        created=manifest.created,
        accuracy=manifest.metrics.accuracy,
        samples=manifest.metrics.samples,
        dataset=manifest.lineage.dataset,
        preset=manifest.lineage.preset,
        run=manifest.lineage.run,
        bytes=manifest.files[MODEL_FILE].bytes,
        promoted=manifest.gate.promoted,
        against=manifest.gate.against,
    )


def publications(storage: Storage, model: str, history: History) -> dict[str, Publication]:
    """Every version that is there.

    The history answers for all but those whose publisher was killed before it wrote its line, or
    whose deletion was cut short: of these the manifest itself is read.
    """
    versions = storage.versions(model)
    found = {
        version: history.published.get(version) or read_publication(storage, model, version) for version in versions
    }
    return {version: publication for version, publication in found.items() if publication}


def pick_version(storage: Storage, model: str, reference: str, history: History) -> str:
    """The version that an alias, a version or the unique beginning of one names.

    A complete version is returned as it is: reading its manifest tells whether it is there.

    Raises:
        UsageError: the reference is malformed.
        RegistryError: nothing or more than one version has this name.
    """
    if is_version_name(reference):
        return reference
    if is_version_prefix(reference):
        candidates = sorted(v for v in publications(storage, model, history) if v.startswith(reference))
        if len(candidates) == 1:
            return candidates[0]
        found = f"{len(candidates)} versions ({', '.join(candidates)})" if candidates else "no version"
        raise RegistryError(f"{reference} names {found} of {model}; see: mnist-pipeline models list")
    if (version := history.aliases.get(check_alias_name(reference))) is None:
        raise RegistryError(
            f"{model} has no {reference} in {storage.location}; publish a model that passes the gate, "
            "or promote a version with: mnist-pipeline models promote"
        )
    return version
