"""Fixtures that several rooms share."""

import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import absl.logging
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.digits import load_embedded_digits
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.evaluation import evaluate
from mnist_pipeline.runs.artifacts import FetchedDataset, NoveltyModel
from mnist_pipeline.workspace import RunDirectory, Workspace
from tests.support import ROOT, digit_scoring, loopback_server
from tests.support import small_sprite as sprites
from tests.support import small_workspace as workspaces
from tests.support.browser import Browser, chromium
from tests.support.candidates import Candidates
from tests.support.digit_scoring import Digits, MakeFolder, Model
from tests.support.forks import Forks, forking
from tests.support.loopback_server import LoopbackServer
from tests.support.small_sprite import SmallSprite
from tests.support.small_workspace import SmallWorkspace

# How fast a machine is, and what else it does, decides no test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Where tests run in the background of a shell, Ctrl-C is switched off, and the end of the terminal under nohup, for the
# commands that they start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# Prefect configures logging when it is imported, which closes the streams of all handlers that there are; that of absl,
# which Keras uses, would be the one that pytest reads, but that absl spares the process's own.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__
# One call of each size tells a time; more would make it truer, which is no test's business.
evaluate.LATENCY_SECONDS = 0.0


@pytest.fixture(autouse=True)
def restored_process() -> Iterator[None]:
    """No test leaves variables or log handlers to the next one, not even those that a command or Prefect sets."""
    variables, logger = dict(os.environ), logging.getLogger("mnist_pipeline")
    level, handlers = logger.level, logger.handlers[:]
    yield
    for name in os.environ.keys() - variables:
        del os.environ[name]
    os.environ.update(variables)
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture(scope="session")
def digits_dataset(tmp_path_factory: pytest.TempPathFactory) -> FetchedDataset:
    """The embedded digits (1,437 train and 360 test rows of real handwriting), fetched once a session.

    Its folder lies in a workspace of its own: read it, do not write to it.
    """
    workspace = Workspace(tmp_path_factory.mktemp("digits-workspace"))
    return fetch_dataset(FetchConfig(dataset="digits"), workspace)


@pytest.fixture(scope="session")
def novelty_model(tmp_path_factory: pytest.TempPathFactory) -> NoveltyModel:
    """The network that knows what is no digit, before it has learnt anything."""
    from mnist_pipeline.training.novelty import build_novelty
    from mnist_pipeline.training.saving import save_model

    run = RunDirectory(tmp_path_factory.mktemp("novelty"))
    model = build_novelty()
    save_model(model, run.novelty_keras)
    return NoveltyModel(
        directory=run.path,
        files=NoveltyModel.digests(run.novelty_keras),
        samples=0,
        parameters=model.count_params(),
        weights_sha256="0" * 64,
    )


KERAS_IMPORTS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})  # before the tests of packages that install theirs
import mnist_pipeline.training.fit  # first: Pydantic looks into every module while it makes a class, and so loads it
from mnist_pipeline.keras_backend import load_keras
load_keras()
"""


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Processes that have imported Keras, and nothing else; their hashes are seeded otherwise than in this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    with forking(tmp_path_factory.mktemp("keras"), KERAS_IMPORTS, kept | {"PYTHONHASHSEED": "12345"}) as found:
        yield found


@pytest.fixture
def small_sprite(tmp_path: Path) -> SmallSprite:
    """A valid sprite in a folder of its own; a test may damage it."""
    return sprites.write(tmp_path / "mirror")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], LoopbackServer]]:
    """Start a `LoopbackServer` for a folder."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running: list[ThreadingHTTPServer] = []

    def start(folder: Path) -> LoopbackServer:
        state, server = loopback_server.start(folder)
        running.append(server)
        return state

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def object_server() -> Iterator[Any]:
    """An S3-speaking server on loopback with the bucket ``bucket`` (`object_server.ObjectServer`)."""
    pytest.importorskip("moto")
    from tests.support import object_server

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        with object_server.serve() as running:
            patch.setenv("AWS_ENDPOINT_URL", running.endpoint)
            running.make_bucket("bucket")
            yield running


@pytest.fixture(scope="session")
def only_browser() -> Iterator[Browser]:
    """One Chromium for every test that leaves it alive."""
    with chromium() as found:
        yield found


@pytest.fixture
def browser(only_browser: Browser) -> Browser:
    """It has heard of nothing yet."""
    only_browser.messages()
    only_browser.requests()
    return only_browser


@pytest.fixture
def candidates(digits_dataset: FetchedDataset, tmp_path: Path) -> Candidates:
    """A workspace with the digits, whose runs stand before the gate."""
    workspace = Workspace(tmp_path / "workspace")
    folder = shutil.copytree(digits_dataset.directory, workspace.datasets / digits_dataset.directory.name)
    return Candidates(workspace, digits_dataset.model_copy(update={"directory": folder}))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have no charts, which take longer than all the rest of publishing."""
    from mnist_pipeline.reporting import plots

    monkeypatch.setattr(plots, "to_png", lambda _: b"")
    monkeypatch.setattr(plots, "to_svg", lambda *_: "")
    monkeypatch.setattr(plots, "to_inline_svg", lambda *_: "")


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory) -> SmallWorkspace:
    """A workspace with one evaluated and published run; leave it as it is."""
    return workspaces.make(tmp_path_factory.mktemp("small") / "workspace")


@pytest.fixture(scope="session")
def digits() -> Digits:
    return Digits(*load_embedded_digits())


@pytest.fixture(scope="session")
def model(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that reads the embedded digits."""
    return digit_scoring.write_model(digits, tmp_path_factory.mktemp("model"))


@pytest.fixture
def make_folder(digits: Digits, tmp_path: Path) -> MakeFolder:
    """A folder of so many digits as PNG files, in sub-folders by digit."""
    return partial(digit_scoring.write_folder, digits, tmp_path / "images")


QUICK = {"config", "data", "files", "imaging", "inference", "registry", "rejection", "runs"}
"""Folders whose tests start no server, train nothing and kill nobody."""
QUICK_FILES = {"test_errors", "test_gate", "test_metrics"}
NOT_QUICK = {"test_remote", "test_blocks"}
"""Files in those folders that start servers, or processes that draw."""
KERAS = ("training", "export", "test_training", "test_model_files", "test_doctor", "test_own_images", "test_whole_run")
SERVERS = ("test_local_server", "test_connection", "test_database", "test_current_folder", "test_termination")
BROWSER = ("test_browser", "test_review_sheet", "test_review", "test_try_page", "test_watch")
GROUPS = {
    "test_deployments": "deployments",
    "flows": "flows",
    **dict.fromkeys(SERVERS, "servers"),
    **dict.fromkeys(KERAS, "Keras"),
    **dict.fromkeys(BROWSER, "browser"),
}
"""File or folder -> what its tests share, such as a Prefect server, or Keras, which takes seconds to import. They stay
in one process; any other file is a group of its own. What takes longest stands first: its processes wait at times."""


def is_quick(path: Path) -> bool:
    """Whether a file, or all of a folder of tests, belongs to the inner loop."""
    place = path.relative_to(Path(__file__).parent).parts
    if path.stem in NOT_QUICK:
        return False
    return place[0] in QUICK or (path.stem in QUICK_FILES and place[0] != "faults")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m quick``, other files are not even read: what they import takes longer than the quick tests."""
    unwanted = config.option.markexpr == "quick" and collection_path.stem.startswith("test_")
    return True if unwanted and not is_quick(collection_path) else None


def group_of(file: Path) -> str:
    """Whose process runs the tests of a file, named from the root of the project."""
    return GROUPS.get(file.stem) or GROUPS.get(file.parts[1]) or str(file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = list(dict.fromkeys(GROUPS.values()))

    def place(item: pytest.Item) -> int:
        group = group_of(item.path.relative_to(Path(__file__).parents[1]))
        return order.index(group) if group in order else len(order)

    items.sort(key=place)
    for item in items:
        if is_quick(item.path):
            item.add_marker("quick")


class GroupScheduling(LoadScopeScheduling):
    """Groups of tests, one after the other to whichever process is free."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(Path(nodeid.partition("::")[0]))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    return GroupScheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files, do not compare")
