"""Shares that cannot lock: reading works, writing is one line. Shares that cannot flush folders: all works."""

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_pipeline.registry import Registry
from tests.support import samples
from tests.support.forked_commands import LIGHT, forked_commands

pytestmark = pytest.mark.skipif(os.name != "posix", reason="flock")


# What the kernel would answer for a file on such a share, in this process and in all that it starts.
SHARE = """
import errno, fcntl, os, stat
def refuse(*_):
    raise OSError({number}, os.strerror({number}))
def fsync(descriptor, real=os.fsync):
    refuse() if stat.S_ISDIR(os.fstat(descriptor).st_mode) else real(descriptor)
{what}
"""
READING = (["runs", "list"], ["models", "list"], ["models", "show", "{a}"], ["models", "verify"], ["models", "history"])
WRITING = (["models", "promote", "{b}", "--reason", "better"], ["fetch", "--dataset", "digits"])


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A workspace with two published versions, and what they are called."""
    root = tmp_path_factory.mktemp("share")
    registry = Registry(root / "models")
    published = [samples.publish(registry, "mnist", root, seed) for seed in (1, 2)]
    registry.promote("mnist", published[0].version, reason="first")
    return root, dict(zip("ab", (one.version for one in published), strict=True))


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    ink = np.zeros((28, 28), np.uint8)
    ink[4:24, 12:16] = 255
    Image.fromarray(ink).save(folder / "one.png")
    return folder


@pytest.fixture
def share(workspace, tmp_path, tmp_path_factory):
    """Run commands where such a share is everywhere; exit code, and lines of standard error that are no progress."""
    with ExitStack() as running:

        def make(number: int, what: str) -> Callable[..., tuple[int, list[str]]]:
            hooks = tmp_path / "hooks"
            hooks.mkdir()
            (hooks / "sitecustomize.py").write_text(SHARE.format(number=number, what=what))
            environment = {name: value for name, value in os.environ.items() if name != "MNIST_PIPELINE_SOURCE"}
            environment["PYTHONPATH"] = str(hooks)
            commands = running.enter_context(forked_commands(tmp_path_factory.mktemp("said"), environment, LIGHT))

            def run(*words: str) -> tuple[int, list[str]]:
                root, names = workspace
                arguments = [*(word.format_map(names) for word in words), "--workspace", str(root)]
                done = commands.run(arguments, environment)
                return done.returncode, [line for line in done.stderr.splitlines() if " images" not in line]

            return run

        yield make


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_without_locks_reading_works_and_writing_is_one_line(images, tmp_path, share, number):
    run = share(number, "fcntl.flock = refuse")
    for words in READING:
        assert run(*words)[0] == 0, words
    score = ["score", str(images), "-o", str(tmp_path / "a.csv"), "-q"]
    for words in (*WRITING, score):
        code, said = run(*words)
        assert (code, len(said)) == (1, 1), said
        assert "cannot be locked" in said[0]
        assert "its file system has no locks" in said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hooks", "images"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_share_that_cannot_flush_folders_is_written_all_the_same(images, tmp_path, share, number):
    run = share(number, "os.fsync = fsync")
    score = ["score", str(images), "-o", str(tmp_path / "a.csv"), "--report", str(tmp_path / "a.html"), "-q"]
    assert run(*score) == (0, [])
    assert (tmp_path / "a.csv").read_text().count("\n") == 2
    assert (tmp_path / "a.html").exists()


def test_another_error_of_the_disk_is_no_success(images, tmp_path, share):
    run = share(errno.EIO, "os.fsync = fsync")
    code, said = run("score", str(images), "-o", str(tmp_path / "a.csv"), "-q")
    assert (code, len(said)) == (1, 1)
    assert said[0].startswith(f"error: {tmp_path}: Input/output error; ")
