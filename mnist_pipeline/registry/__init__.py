"""Published models: immutable versions, aliases, history.

Everything that other rooms use is here; the files behind it: ``manifest`` and ``history``
are pure; ``card`` fills in its template; ``storage`` and ``remote`` hold the bytes; ``store`` is the registry itself.
"""

from mnist_pipeline.registry.audit import Finding
from mnist_pipeline.registry.catalogue import VersionSummary
from mnist_pipeline.registry.history import Change, History, Measurement, parse_when
from mnist_pipeline.registry.lookup import open_registry
from mnist_pipeline.registry.manifest import (
    CHAMPION,
    PENDING,
    AgainstChampion,
    Facts,
    GateSummary,
    Lineage,
    Manifest,
    Metrics,
    PublishedVersion,
    content_version,
    digest_of,
)
from mnist_pipeline.registry.moves import ANY, current_user
from mnist_pipeline.registry.staging import Stage
from mnist_pipeline.registry.store import Registry

__all__ = [
    "ANY",
    "CHAMPION",
    "PENDING",
    "AgainstChampion",
    "Change",
    "Facts",
    "Finding",
    "GateSummary",
    "History",
    "Lineage",
    "Manifest",
    "Measurement",
    "Metrics",
    "PublishedVersion",
    "Registry",
    "Stage",
    "VersionSummary",
    "content_version",
    "current_user",
    "digest_of",
    "open_registry",
    "parse_when",
]
