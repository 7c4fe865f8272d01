"""Hash everything again and say what is not as it was published."""

from pathlib import Path

from mnist_pipeline.errors import IntegrityError, RegistryError
from mnist_pipeline.files import sha256_bytes
from mnist_pipeline.registry.catalogue import pick_version, read_history, read_manifest
from mnist_pipeline.registry.history import ALIASES_FILE, HISTORY_FILE, History
from mnist_pipeline.registry.manifest import MANIFEST_FILE, SIGNATURE_FILE, compare_files
from mnist_pipeline.registry.signing import check_signature
from mnist_pipeline.registry.storage import Storage
from mnist_pipeline.schema import Record


class Finding(Record):
    """Something in the registry that is not as it was written."""

    model: str
    version: str | None
    """None means that it concerns the model's history or aliases."""
    file: str
    problem: str


def verify_model(storage: Storage, model: str, reference: str | None, public_key: Path | None) -> list[Finding]:
    """See `Registry.verify`."""
    try:
        history = read_history(storage, model)
    except IntegrityError as error:
        if reference is not None:
            raise
        return [Finding(model=model, version=None, file=HISTORY_FILE, problem=str(error))]
    if reference is not None:
        version = pick_version(storage, model, reference, history)
        if storage.read_manifest(model, version) is None and version not in history.published:
            raise RegistryError(f"{storage.location} has no {model} {version}; see: mnist-pipeline models list")
        return _verify_version(storage, model, version, history, public_key)
    findings = _verify_aliases(storage, model, history)
    for version in sorted(storage.versions(model) | history.published.keys()):
        findings += _verify_version(storage, model, version, history, public_key)
    return findings


def _verify_aliases(storage: Storage, model: str, history: History) -> list[Finding]:
    expected = history.render_aliases() if history.changes else None
    if storage.read_aliases(model) == expected:
        return []
    problem = "differs from the history, which is the truth; the next change of the registry writes it again"
    return [Finding(model=model, version=None, file=ALIASES_FILE, problem=problem)]


def _verify_version(
    storage: Storage, model: str, version: str, history: History, public_key: Path | None
) -> list[Finding]:
    def finding(file: str, problem: str) -> Finding:
        return Finding(model=model, version=version, file=file, problem=problem)

    try:
        data = storage.read_manifest(model, version)
        if data is None:
            # Nobody published it: what another machine is uploading just now, or left when it died.
            return [finding(MANIFEST_FILE, "missing")] if version in history.published else []
        manifest = read_manifest(storage, model, version, history)
        signature = storage.read_signature(model, version, sha256_bytes(data))
    except (IntegrityError, RegistryError) as error:
        return [finding(MANIFEST_FILE, str(error))]
    findings = [finding(*one) for one in compare_files(manifest.files, storage.entries(manifest)).items()]
    recorded = history.published.get(version)
    signed = recorded.signature_sha256 if recorded else None
    if problem := _signature_problem(data, signature, signed, public_key):
        findings.append(finding(SIGNATURE_FILE, problem))
    return findings


def _signature_problem(
    manifest: bytes, signature: bytes | None, recorded: str | None, public_key: Path | None
) -> str | None:
    if signature is None:
        return "missing" if recorded or public_key else None
    if recorded is not None and sha256_bytes(signature) != recorded:
        return f"changed: SHA-256 is {sha256_bytes(signature)}, published was {recorded}"
    return check_signature(manifest, signature, public_key) if public_key else None
