"""Published models: immutable versions, aliases that move, and a history of every change.

    with registry.stage("mnist", model_file) as stage:
        ...                                   # load stage.model_path in a fresh process, judge
        stage.add("evaluation.json", data)
        published = registry.commit(stage, facts)
    registry.promote("mnist", published.version, reason="better", expected=facts.lineage.parent)

A crash anywhere leaves whole versions, a valid alias and a history that says what happened; the
next change finishes what was begun.

The registry's whole face is in this one module, longer than others, so that its contract is read on one page. The
work is behind it: `moves` and `changes` (what a history gains), `catalogue` (what a name means), `staging`, `storage`.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_pipeline.errors import RegistryError, UsageError
from mnist_pipeline.files import write_bytes
from mnist_pipeline.registry.audit import Finding, verify_model
from mnist_pipeline.registry.catalogue import (
    VersionSummary,
    pick_version,
    publications,
    read_history,
    read_manifest,
    read_publication,
)
from mnist_pipeline.registry.changes import HistoryWriter
from mnist_pipeline.registry.history import Change, History, Measurement
from mnist_pipeline.registry.manifest import (
    CHAMPION,
    MODEL_FILE,
    Facts,
    Manifest,
    PublishedVersion,
    check_alias_name,
    check_model_name,
    content_version,
    entry_of,
)
from mnist_pipeline.registry.moves import (
    ANY,
    Author,
    Unchecked,
    approval,
    promotion,
    rejection,
)
from mnist_pipeline.registry.staging import Stage, staged_folder, writing
from mnist_pipeline.registry.storage import LocalStorage, Storage


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
        self._writer = HistoryWriter(self.storage, clock)

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
                **publication.model_dump(exclude={"manifest_sha256", "signature_sha256", "against"}),
            )
            for version, publication in publications(self.storage, model, history).items()
        ]
        return sorted(rows, key=lambda row: (row.created, row.version), reverse=True)

    def champion(self, model: str) -> str | None:
        """The champion's version; None without a champion."""
        return read_history(self.storage, model).aliases.get(CHAMPION)

    def history(self, model: str) -> History:
        """Every change, and what follows from them: who is champion, what a rollback leads to."""
        return read_history(self.storage, model)

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
            reference: as for `resolve`; None means all versions, the history and the aliases.
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
            who: who publishes; None means the user of this process.
            reason: why, for the history.
            sign_key: PEM file of the Ed25519 private key that signs the manifest.

        Raises:
            UsageError: evaluation.json is missing, or the key cannot be used.
            RegistryError: it cannot be written, or the version exists with another model.
            IntegrityError: the version exists and is damaged.
            MissingExtraError: a key is given and the 'sign' extra is not installed.
        """
        model, version = stage.model, stage.version
        with writing(self.storage.location), self.storage.locked(model):
            stage.seal(facts, self._writer.clock(), sign_key)
            self._existing(model, version, stage.sha256)  # nothing becomes visible where the history cannot follow
            created = self.storage.commit(model, version, stage.folder)
            published = read_publication(self.storage, model, version)
            author = Author.of(who, facts.lineage.run, reason)

            def decide(history: History, now: dt.datetime) -> list[Change]:
                recorded = history.published.get(version)
                if published is None or (recorded and (not created or recorded == published)):
                    return []
                return [author.change(now, "publish", after=version, publication=published)]

            self._writer.append(model, decide, recording=version)
        self._existing(model, version, stage.sha256)
        return self.resolve(model, version)

    def record(self, model: str, model_sha256: str, measured: Measurement) -> None:
        """Enter that a model was measured on the test rows, be it published or not; once for each model.

        Raises:
            UsageError: the model's name is malformed.
            RegistryError: it cannot be written.
        """
        version = content_version(model_sha256)
        author = Author.of(None, measured.run, "measured on the test images")

        def decide(history: History, now: dt.datetime) -> list[Change]:
            if version in history.measured:
                return []
            return [author.change(now, "evaluate", after=version, measurement=measured)]

        self._writer.append(model, decide)

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
            who: who did it; None means the user of this process.
            run: the pipeline run that did it.
            alias: what to move.
            expected: what ``alias`` must name now (None means nothing), else it is not moved.

        Raises:
            UsageError: a name is malformed, or the reason is blank.
            RegistryError: there is no such version, ``alias`` names something other than ``expected``, or
                the champion was trained on another dataset.
            IntegrityError: the version is damaged.
        """
        check_alias_name(alias)
        author = Author.of(who, run, reason)
        chosen = self.resolve(model, reference).version
        self._writer.append(model, lambda history, now: promotion(history, now, alias, chosen, expected, author))
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
        author = Author.of(who, run, reason)

        def decide(history: History, now: dt.datetime) -> list[Change]:
            target = history.rollback_target(alias)
            if target is None:
                raise RegistryError(f"{model} has no earlier {alias} to go back to; promote a version by its name")
            self.storage.fetch(read_manifest(self.storage, model, target, history))
            before = history.aliases.get(alias)
            return [author.change(now, "rollback", alias=alias, before=before, after=target)]

        return self._writer.append(model, decide).aliases[alias]

    def approve(self, model: str, reference: str, *, reason: str, who: str | None = None) -> str:
        """Let the version that waits become champion; the version.

        Raises:
            UsageError: a name is malformed, or the reason is blank.
            RegistryError: it does not wait, or there is another champion since it was judged.
            IntegrityError: the version is damaged.
        """
        author = Author.of(who, None, reason)
        chosen = self.resolve(model, reference).version
        self._writer.append(model, lambda history, now: approval(history, now, chosen, author))
        return chosen

    def reject(self, model: str, reference: str, *, reason: str, who: str | None = None) -> str:
        """Let the version that waits wait no longer, and never become champion by a run; the version.

        Raises:
            UsageError: a name is malformed, or the reason is blank.
            RegistryError: it does not wait.
        """
        author = Author.of(who, None, reason)
        chosen = self.manifest(model, reference).version
        self._writer.append(model, lambda history, now: rejection(history, now, chosen, author))
        return chosen

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
        author = Author.of(who, None, reason)
        candidates = [row.version for row in self.versions(model)][keep:]
        if dry_run:
            protected = read_history(self.storage, model).protected
            return [version for version in candidates if version not in protected]
        deleted: list[str] = []

        def decide(history: History, now: dt.datetime) -> list[Change]:
            deleted[:] = [v for v in candidates if v in history.published and v not in history.protected]
            return [author.change(now, "prune", before=version) for version in deleted]

        with writing(self.storage.location), self.storage.locked(model):
            self._writer.append(model, decide)
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
