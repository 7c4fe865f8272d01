"""Fixtures that several rooms share."""

import hashlib
import importlib.util
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from PIL import Image

from mnist_pipeline.config import FetchConfig
from mnist_pipeline.data.fetch import fetch_dataset
from mnist_pipeline.runs.artifacts import FetchedDataset, NoveltyModel
from mnist_pipeline.workspace import RunDirectory, Workspace

# How fast a machine is, and what else it does, decides no test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Where tests run in the background of a shell, Ctrl-C is switched off, for the commands that they start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


@dataclass(frozen=True)
class SmallSprite:
    """A made-up sprite of 24 train and 8 test images: a folder as a server or a mirror has it, and its description."""

    folder: Path
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def png(self) -> Path:
        return self.folder / "images.png"

    @property
    def one_hot(self) -> Path:
        return self.folder / "labels.bin"

    def describe(self, *, pinned: bool = True, source: str = ".", name: str = "small") -> str:
        """Write a description whose source is this folder, and return its path for `FetchConfig.dataset`."""
        digests = (
            f'[digests]\npixels = "{hashlib.sha256(self.images.tobytes()).hexdigest()}"\n'
            f'labels = "{hashlib.sha256(self.one_hot.read_bytes()).hexdigest()}"\n'
        )
        path = self.folder / f"{name}-{'pinned' if pinned else 'open'}.toml"
        path.write_text(
            f'name = "{name}"\ntitle = "Made up"\nsource = "{source}"\n'
            'class_names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]\n'
            "[rows]\ntrain = 24\ntest = 8\n"
            '[files]\nimages = "images.png"\nlabels = "labels.bin"\n' + (digests if pinned else "")
        )
        return str(path)


@pytest.fixture
def small_sprite(tmp_path: Path) -> SmallSprite:
    """A valid sprite in a folder of its own; a test may damage it."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (32, 28, 28), dtype=np.uint8)
    labels = (np.arange(32) % 10).astype(np.uint8)
    sprite = SmallSprite(folder, images, labels)
    Image.fromarray(images.reshape(32, 784)).save(sprite.png)
    sprite.one_hot.write_bytes(np.eye(10, dtype=np.uint8)[labels].tobytes())
    return sprite


Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class LoopbackServer:
    """A real HTTP server on the loopback interface, whose answers a test writes.

    Attributes:
        url: of the served folder.
        requests: paths asked for, in order.
        answers: path -> what to do for its first, second ... request; the last one stays. Where there
            is none, the file of that name in the folder is sent.
    """

    url: str
    requests: list[str] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)

    @staticmethod
    def reply(body: bytes, status: int = 200, **headers: str) -> Answer:
        """A whole answer; underscores in header names stand for hyphens."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return answer


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], LoopbackServer]]:
    """Start a `LoopbackServer` for a folder."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running: list[ThreadingHTTPServer] = []

    def start(folder: Path) -> LoopbackServer:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                state.requests.append(self.path)
                answers = state.answers.get(self.path, [])
                if answers:
                    (answers.pop(0) if len(answers) > 1 else answers[0])(self)
                elif (folder / self.path[1:]).is_file():
                    state.reply((folder / self.path[1:]).read_bytes())(self)
                else:
                    self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are the point
        running.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        state = LoopbackServer(f"http://127.0.0.1:{server.server_port}/")
        return state

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def load_helper(name: str) -> ModuleType:
    """A module beside this file, which pytest's import mode does not find by its name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def object_server() -> Iterator[Any]:
    """An S3-speaking server on loopback with the bucket ``bucket`` (`object_server.ObjectServer`)."""
    pytest.importorskip("moto")
    module = load_helper("object_server")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        with module.serve() as running:
            patch.setenv("AWS_ENDPOINT_URL", running.endpoint)
            running.make_bucket("bucket")
            yield running


@pytest.fixture(scope="session")
def linear_models() -> ModuleType:
    """Small models that learn without TensorFlow, and runs that hold them (`linear_models.py`)."""
    return load_helper("linear_models")


@pytest.fixture
def candidates(digits_dataset: FetchedDataset, linear_models: ModuleType, tmp_path: Path) -> Any:
    """A workspace with the digits, whose runs stand before the gate (`candidates.Candidates`)."""
    workspace = Workspace(tmp_path / "workspace")
    folder = shutil.copytree(digits_dataset.directory, workspace.datasets / digits_dataset.directory.name)
    dataset = digits_dataset.model_copy(update={"directory": folder})
    return load_helper("candidates").Candidates(workspace, dataset, linear_models)


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory, linear_models: ModuleType) -> Any:
    """A workspace with one evaluated and published run (`small_workspace.SmallWorkspace`); leave it as it is."""
    return load_helper("small_workspace").make(tmp_path_factory.mktemp("small") / "workspace", linear_models)


QUICK = {"config", "data", "files", "imaging", "inference", "registry", "rejection"}
"""Folders whose tests start no server, train nothing and kill nobody."""
QUICK_FILES = {
    "test_config",
    "test_errors",
    "test_fingerprint",
    "test_gate",
    "test_inference",
    "test_metrics",
    "test_runs",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = item.path.relative_to(Path(__file__).parent).parts
        if room[0] in QUICK or (item.path.stem in QUICK_FILES and room[0] != "faults"):
            item.add_marker("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files, do not compare")
