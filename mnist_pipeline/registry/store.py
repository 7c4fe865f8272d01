"""Published models: immutable versions, aliases that move, and a history of every change.

    with registry.stage("mnist", model_file) as stage:
        ...                                   # load stage.model_path in a fresh process, judge
        stage.add("evaluation.json", data)
        published = registry.commit(stage, facts)
    registry.promote("mnist", published.version, reason="better", expected=facts.lineage.parent)

A crash anywhere leaves whole versions, a valid alias and a history that says what happened; the
next change finishes what was begun.
"""

import datetime as dt
import getpass
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mnist_pipeline.errors import RegistryError, UsageError
from mnist_pipeline.files import write_bytes
from mnist_pipeline.files.object_store import ObjectFolder
from mnist_pipeline.registry.audit import Finding, verify_model
from mnist_pipeline.registry.catalog import (
    parse_history,
    pick_version,
    publications,
    read_history,
    read_manifest,
    read_publication,
)
from mnist_pipeline.registry.history import ALIASES_FILE, Change, Decide, History, check_expected, check_reason
from mnist_pipeline.registry.manifest import (
    CHAMPION,
    MODEL_FILE,
    Facts,
    Manifest,
    check_alias_name,
    check_model_name,
    content_version,
    entry_of,
)
from mnist_pipeline.registry.remote import RemoteStorage
from mnist_pipeline.registry.staging import Stage, staged_folder, writing
from mnist_pipeline.registry.storage import LocalStorage, Storage
from mnist_pipeline.schema import Record

logger = logging.getLogger(__name__)


class Unchecked(Enum):
    """The type of `ANY`."""

    ANY = "any"


ANY = Unchecked.ANY
"""As ``expected``: move the alias wherever it points now."""


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """One version of a model; every file in ``directory`` was hashed against the manifest."""

    manifest: Manifest
    directory: Path
    """Local folder with all files of the version."""

    @property
    def model(self) -> str:
        return self.manifest.model

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of model.onnx."""
        return self.manifest.sha256

    @property
    def path(self) -> Path:
        """model.onnx."""
        return self.directory / MODEL_FILE


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


class Registry:
    """All models of one registry.

    Args:
        storage: a folder, or another storage.
        clock: the time, with a zone.
    """

    def __init__(
        self, storage: Path | Storage, *, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    ) -> None:
        self.storage: Storage = LocalStorage(storage) if isinstance(storage, Path) else storage
        self._clock = clock

    def models(self) -> list[str]:
        """Names of all models, sorted."""
        return self.storage.models()

    def versions(self, model: str) -> list[VersionSummary]:
        """All versions, newest first. Reads the history alone, so that ten thousand are listed in a moment."""
        history = read_history(self.storage, model)
        rows = [
            VersionSummary(
                version=version,
                aliases=sorted(alias for alias, named in history.aliases.items() if named == version),
                **publication.model_dump(exclude={"manifest_sha256", "signature_sha256"}),
            )
            for version, publication in publications(self.storage, model, history).items()
        ]
        return sorted(rows, key=lambda row: (row.created, row.version), reverse=True)

    def aliases(self, model: str) -> dict[str, str]:
        """Alias -> version."""
        return dict(read_history(self.storage, model).aliases)

    def champion(self, model: str) -> str | None:
        """The champion's version; None where there is none."""
        return read_history(self.storage, model).aliases.get(CHAMPION)

    def history(self, model: str) -> tuple[Change, ...]:
        """Every change, oldest first."""
        return read_history(self.storage, model).changes

    def withdrawn(self, model: str) -> dict[str, Change]:
        """Version -> the move by which a person took the champion's place from it; see `History.withdrawn`."""
        return dict(read_history(self.storage, model).withdrawn)

    def at(self, model: str, when: dt.datetime, alias: str = CHAMPION) -> Change | None:
        """The change that made ``alias`` what it was at ``when``; None where it was not set yet.

        See `history.parse_when` for dates.
        """
        return read_history(self.storage, model).at(when, check_alias_name(alias))

    def manifest(self, model: str, reference: str = CHAMPION) -> Manifest:
        """The manifest of the version that ``reference`` names. Other files are not looked at.

        Raises:
            UsageError, RegistryError, IntegrityError: as for `resolve`.
        """
        history = read_history(self.storage, model)
        return read_manifest(self.storage, model, pick_version(self.storage, model, reference, history), history)

    def resolve(self, model: str, reference: str = CHAMPION) -> PublishedVersion:
        """The version that an alias, a version or the unique beginning of one names, every file verified.

        Raises:
            UsageError: a name is malformed.
            RegistryError: there is no such version.
            IntegrityError: a file is not what was published; names it.
        """
        manifest = self.manifest(model, reference)
        return PublishedVersion(manifest, self.storage.fetch(manifest))

    def published(self, model: str, model_sha256: str) -> PublishedVersion | None:
        """The version of this very model file, every file verified; None where it is not published.

        Raises:
            UsageError: the name is malformed.
            RegistryError: the version's name is taken by another model.
            IntegrityError: a file is not what was published; names it.
        """
        manifest = self._existing(model, content_version(model_sha256), model_sha256)
        return PublishedVersion(manifest, self.storage.fetch(manifest)) if manifest else None

    def verify(self, model: str, reference: str | None = None, *, public_key: Path | None = None) -> list[Finding]:
        """Hash everything again; what is not as it was published.

        Args:
            model: name of the model.
            reference: as for `resolve`; None: all versions, the history and the aliases.
            public_key: PEM file; every manifest must carry a valid signature of this key.

        Raises:
            UsageError: a name is malformed, or the key cannot be used.
            RegistryError: there is no such version.
            IntegrityError: one version is asked for and the history is damaged.
        """
        return verify_model(self.storage, model, reference, public_key)

    @contextmanager
    def stage(self, model: str, model_file: Path) -> Iterator[Stage]:
        """Make a version of ``model_file``; `commit` publishes it, and nothing else does.

        Raises:
            UsageError: the model's name is malformed.
            IntegrityError: the file is not a safe ONNX model, or the version exists and is damaged.
            RegistryError: it cannot be written, or the version exists with another model.
        """
        from mnist_pipeline.inference import check_model_is_safe

        check_model_name(model)
        data = model_file.read_bytes()
        check_model_is_safe(data)
        sha256 = entry_of(data).sha256
        version = content_version(sha256)
        self._existing(model, version, sha256)
        with staged_folder(self.storage, model) as folder:
            with writing(self.storage.location):
                write_bytes(folder / MODEL_FILE, data)
                path = self.storage.place_model(model, version, folder)
            yield Stage(model=model, version=version, sha256=sha256, folder=folder, model_path=path)

    def commit(
        self,
        stage: Stage,
        facts: Facts,
        *,
        who: str | None = None,
        reason: str = "publish",
        sign_key: Path | None = None,
    ) -> PublishedVersion:
        """Publish a stage in one step. A version that exists is left as it is and returned.

        Args:
            stage: what to publish; evaluation.json must have been added.
            facts: lineage, metrics and verdict for the manifest.
            who: who publishes; None: the user of this process.
            reason: why, for the history.
            sign_key: PEM file of the Ed25519 private key that signs the manifest.

        Raises:
            UsageError: evaluation.json is missing, or the key cannot be used.
            RegistryError: it cannot be written, or the version exists with another model.
            IntegrityError: the version exists and is damaged.
            MissingExtraError: a key is given and the 'sign' extra is not installed.
        """
        model, version = stage.model, stage.version
        with writing(self.storage.location), self.storage.exclusive(model):
            stage.seal(facts, self._clock(), sign_key)
            self._existing(model, version, stage.sha256)  # nothing becomes visible where the history cannot follow
            created = self.storage.commit(model, version, stage.folder)
            publication = read_publication(self.storage, model, version)

            def decide(history: History, now: dt.datetime) -> list[Change]:
                recorded = history.published.get(version)
                if recorded and (not created or recorded.publication == publication):
                    return []
                change = Change(
                    time=now,
                    action="publish",
                    alias=None,
                    before=None,
                    after=version,
                    who=who or current_user(),
                    run=facts.lineage.run,
                    reason=reason,
                    publication=publication,
                )
                return [change]

            self._change(model, decide, recording=version)
        self._existing(model, version, stage.sha256)
        return self.resolve(model, version)

    def promote(
        self,
        model: str,
        reference: str,
        *,
        reason: str,
        who: str | None = None,
        run: str | None = None,
        alias: str = CHAMPION,
        expected: str | Unchecked | None = ANY,
    ) -> str:
        """Let ``alias`` name a version; the version. Where it does already, nothing changes.

        Args:
            model: name of the model.
            reference: a version, the unique beginning of one, or another alias.
            reason: why, for the history.
            who: who did it; None: the user of this process.
            run: the pipeline run that did it.
            alias: what to move.
            expected: what ``alias`` must name now (None: nothing), else it is not moved.

        Raises:
            UsageError: a name is malformed, or the reason is blank.
            RegistryError: there is no such version, ``alias`` names something other than ``expected``, or
                the champion was trained on another dataset.
            IntegrityError: the version is damaged.
        """
        check_alias_name(alias)
        check_reason(reason)
        chosen = self.resolve(model, reference).version

        def decide(history: History, now: dt.datetime) -> list[Change]:
            before = history.aliases.get(alias)
            if before == chosen:
                return []
            if expected is not ANY:
                check_expected(history, alias, expected)
            if chosen not in history.published:
                raise RegistryError(f"{model} {chosen} was pruned meanwhile; choose another version")
            if alias == CHAMPION and before:
                _check_same_dataset(history, before, chosen)
            return [
                Change(
                    time=now,
                    action="promote",
                    alias=alias,
                    before=before,
                    after=chosen,
                    who=who or current_user(),
                    run=run,
                    reason=reason,
                )
            ]

        self._change(model, decide)
        return chosen

    def rollback(
        self, model: str, *, reason: str, who: str | None = None, run: str | None = None, alias: str = CHAMPION
    ) -> str:
        """Let ``alias`` name what it named before the present version; the version.

        See `History.rollback_target`: repeated rollbacks go further back.

        Raises:
            UsageError: a name is malformed, or the reason is blank.
            RegistryError: nothing is left to go back to.
            IntegrityError: the version to go back to is damaged.
        """
        check_alias_name(alias)
        check_reason(reason)

        def decide(history: History, now: dt.datetime) -> list[Change]:
            target = history.rollback_target(alias)
            if target is None:
                raise RegistryError(f"{model} has no earlier {alias} to go back to; promote a version by its name")
            self.storage.fetch(read_manifest(self.storage, model, target, history))
            return [
                Change(
                    time=now,
                    action="rollback",
                    alias=alias,
                    before=history.aliases.get(alias),
                    after=target,
                    who=who or current_user(),
                    run=run,
                    reason=reason,
                )
            ]

        return self._change(model, decide).aliases[alias]

    def prune(
        self, model: str, *, keep: int, reason: str = "prune", who: str | None = None, dry_run: bool = False
    ) -> list[str]:
        """Delete all but the newest ``keep`` versions; the deleted ones, or with ``dry_run`` those it would delete.

        Never deleted: what an alias names, the last two champions, and what a rollback leads to.

        Raises:
            UsageError: a name is malformed, ``keep`` is negative, or the reason is blank.
            RegistryError: something cannot be deleted.
        """
        if keep < 0:
            raise UsageError(f"keep is {keep}; it must be 0 or more")
        check_reason(reason)
        candidates = [row.version for row in self.versions(model)][keep:]
        if dry_run:
            protected = read_history(self.storage, model).protected
            return [version for version in candidates if version not in protected]
        deleted: list[str] = []

        def decide(history: History, now: dt.datetime) -> list[Change]:
            deleted[:] = [v for v in candidates if v in history.published and v not in history.protected]
            return [
                Change(
                    time=now,
                    action="prune",
                    alias=None,
                    before=version,
                    after=None,
                    who=who or current_user(),
                    run=None,
                    reason=reason,
                )
                for version in deleted
            ]

        with writing(self.storage.location), self.storage.exclusive(model):
            self._change(model, decide)
            for version in deleted:
                self.storage.remove(model, version)
        return deleted

    def _existing(self, model: str, version: str, model_sha256: str) -> Manifest | None:
        """The manifest of the version, if it is published.

        Raises:
            RegistryError: it is, with another model.
            IntegrityError: it is damaged, or the history is.
        """
        history = read_history(self.storage, model)
        if self.storage.read_manifest(model, version) is None:
            return None
        manifest = read_manifest(self.storage, model, version, history)
        if manifest.sha256 != model_sha256:
            raise RegistryError(
                f"{model} {version} is already another model: its SHA-256 is {manifest.sha256}, "
                f"the new one's is {model_sha256}; publish under another model name"
            )
        return manifest

    def _change(self, model: str, decide: Decide, *, recording: str | None = None) -> History:
        """Append what ``decide`` returns, after what killed writers owe; then let aliases.json follow.

        ``recording`` is a version whose line ``decide`` itself writes.
        """
        check_model_name(model)

        def addition(data: bytes) -> bytes:
            history = parse_history(self.storage, model, data)
            now = self._clock()
            if history.changes:
                now = max(now, history.changes[-1].time)
            owed = [change for change in self._unrecorded(model, history, now) if change.after != recording]
            return history.encode([*owed, *decide(history.plus(owed), now)])

        with writing(self.storage.location), self.storage.exclusive(model):
            data = self.storage.append_history(model, addition)
            while True:
                history = parse_history(self.storage, model, data)
                self._write_aliases(model, history)
                # Where writers cannot be kept out, a slow one may have put older aliases over a faster one's.
                if (again := self.storage.read_history(model)) == data:
                    return history
                data = again

    def _write_aliases(self, model: str, history: History) -> None:
        """Let aliases.json follow. The change has happened already: failing here would deny it."""
        aliases = history.render_aliases()
        try:
            if self.storage.read_aliases(model) != aliases:
                self.storage.write_aliases(model, aliases)
        except (OSError, RegistryError) as error:
            logger.warning("%s/%s is behind until the next change: %s", model, ALIASES_FILE, error)

    def _unrecorded(self, model: str, history: History, now: dt.datetime) -> list[Change]:
        """Lines for versions that are there without one: their writer was killed between folder and history."""
        missing = sorted(self.storage.versions(model) - history.published.keys())
        found = [(version, read_publication(self.storage, model, version)) for version in missing]
        return [
            Change(
                time=now,
                action="publish",
                alias=None,
                before=None,
                after=version,
                who="unknown",
                run=None,
                reason="found without a record: whoever published or pruned it was interrupted",
                publication=publication,
            )
            for version, publication in found
            if publication
        ]


def _check_same_dataset(history: History, champion: str, candidate: str) -> None:
    """A model of one dataset never takes the place of a model of another: their users expect different things."""
    known = [change.publication for v in (champion, candidate) if (change := history.published.get(v))]
    datasets = [publication.dataset for publication in known if publication]
    if len(set(datasets)) > 1:
        raise RegistryError(
            f"{candidate} was trained on {datasets[1]}, the champion {champion} on {datasets[0]}; "
            "publish it under another model name"
        )


def open_registry(location: str | Path, *, cache: Path) -> Registry:
    """The registry in a folder, or below ``s3://bucket/prefix``.

    Args:
        location: the folder or the URL.
        cache: local folder for what is downloaded from a URL; not used for a folder.

    Raises:
        UsageError: the URL is malformed or of another kind.
        MissingExtraError: it is an URL and the 's3' extra is not installed.
        StorageError: a variable that the object store needs cannot be used.
    """
    if isinstance(location, Path) or "://" not in location:
        return Registry(Path(location))
    return Registry(RemoteStorage(ObjectFolder(location), cache))


def current_user() -> str:
    """``user@host`` of this process, for the history."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
