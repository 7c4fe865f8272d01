"""Changes of a history, one after the other, whoever else writes; aliases.json follows them."""

import datetime as dt
import logging
from collections.abc import Callable

from mnist_pipeline.errors import RegistryError
from mnist_pipeline.registry.catalogue import parse_history, read_publication
from mnist_pipeline.registry.history import ALIASES_FILE, Change, History
from mnist_pipeline.registry.manifest import check_model_name
from mnist_pipeline.registry.moves import Author
from mnist_pipeline.registry.staging import writing
from mnist_pipeline.registry.storage import Storage

logger = logging.getLogger(__name__)

UNKNOWN = Author("unknown", None, "found without a record: whoever published or pruned it was interrupted")


Decide = Callable[[History, dt.datetime], list[Change]]
"""What to add to a history at a time. May be called again where another writer was faster."""


class HistoryWriter:
    """Appends to the histories of one storage.

    Args:
        storage: where they are.
        clock: the time, with a zone.
    """

    def __init__(self, storage: Storage, clock: Callable[[], dt.datetime]) -> None:
        self._storage = storage
        self.clock = clock

    def append(self, model: str, decide: Decide, *, recording: str | None = None) -> History:
        """Append what ``decide`` returns, after what killed writers left unwritten; then let aliases.json follow.

        ``recording`` is a version whose line ``decide`` itself writes.
        """
        check_model_name(model)

        def addition(data: bytes) -> bytes:
            history = parse_history(self._storage, model, data)
            now = self.clock()
            if history.changes:
                now = max(now, history.changes[-1].time)
            pending = [change for change in self._unrecorded(model, history, now) if change.after != recording]
            return history.encode([*pending, *decide(history.plus(pending), now)])

        with writing(self._storage.location), self._storage.locked(model):
            data = self._storage.append_history(model, addition)
            while True:
                history = parse_history(self._storage, model, data)
                self._write_aliases(model, history)
                # Where writers cannot be kept out, a slow one may have put older aliases over a faster one's.
                if (again := self._storage.read_history(model)) == data:
                    return history
                data = again

    def _write_aliases(self, model: str, history: History) -> None:
        """Let aliases.json follow. The change has happened already: failing here would deny it."""
        aliases = history.render_aliases()
        try:
            if self._storage.read_aliases(model) != aliases:
                self._storage.write_aliases(model, aliases)
        except (OSError, RegistryError) as error:
            logger.warning("%s/%s is behind until the next change: %s", model, ALIASES_FILE, error)

    def _unrecorded(self, model: str, history: History, now: dt.datetime) -> list[Change]:
        """Lines for versions that are there without one: their writer was killed between folder and history."""
        missing = sorted(self._storage.versions(model) - history.published.keys())
        return [
            UNKNOWN.change(now, "publish", after=version, publication=published)
            for version in missing
            if (published := read_publication(self._storage, model, version))
        ]
