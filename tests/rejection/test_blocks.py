"""Samples drawn by several processes: the same as by one, whatever becomes of the others."""

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

from mnist_pipeline.data.dataset import Dataset
from mnist_pipeline.rejection import blocks
from mnist_pipeline.rejection.blocks import BLOCK_ROWS
from mnist_pipeline.rejection.samples import draw_samples
from mnist_pipeline.rejection.scenes import KINDS

ROWS, SEED = 75, 7


@pytest.fixture(scope="module")
def train(digits_dataset):
    return Dataset.open(digits_dataset.directory).train


@pytest.fixture(scope="module")
def small():
    """Three blocks of 25 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_ROWS", 24)
        yield


@pytest.fixture(scope="module")
def alone(train, small):
    return blocks.draw_blocks(train.images, train.labels, ROWS, SEED, processes=1)


@pytest.mark.parametrize("processes", [2, 3, 9])
def test_any_number_of_processes_draws_the_same(train, alone, processes, monkeypatch):
    def none_here(share):
        assert not share.blocks, "drawn here, and not by a process of its own"
        return iter(())

    monkeypatch.setattr(blocks.Share, "draw", none_here)
    told = []
    drawn = blocks.draw_blocks(train.images, train.labels, ROWS, SEED, processes, told.append)
    assert told == [25, 50, 75]
    assert np.array_equal(drawn.images, alone.images)
    assert np.array_equal(drawn.classes, alone.classes)


def test_a_block_holds_every_kind_of_scene_equally_often():
    assert BLOCK_ROWS % (3 * 5 * 8) == 0
    assert BLOCK_ROWS * 3 // 4 % len(KINDS) == 0


def test_each_block_has_numbers_of_its_own(train, alone):
    first = draw_samples(train.images, train.labels, 25, np.random.default_rng((SEED, 0)))
    second = draw_samples(train.images, train.labels, 25, np.random.default_rng((SEED, 1)))
    assert np.array_equal(alone.images[: len(first.images)], first.images)
    assert np.array_equal(alone.images[len(first.images) :][: len(second.images)], second.images)
    assert not np.array_equal(first.images[:25], second.images[:25])


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("command", ["kill", "none"])
def test_what_a_process_does_not_bring_back_is_drawn_here(train, alone, command, monkeypatch, caplog):
    killed = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    monkeypatch.setattr(blocks, "COMMAND", killed if command == "kill" else ["/nowhere/python"])
    drawn = blocks.draw_blocks(train.images, train.labels, ROWS, SEED, processes=2)
    assert np.array_equal(drawn.images, alone.images)
    assert np.array_equal(drawn.classes, alone.classes)
    assert ("exit code -9" in caplog.text) == (command == "kill")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_what_a_process_brought_back_before_it_was_killed_is_not_drawn_again(train, alone, monkeypatch):
    children, start, here = [], blocks._start, []

    def note(share):
        children.append(start(share))
        return children[-1]

    def noted(share):
        here.extend(share.blocks)
        return draw(share)

    draw = blocks.Share.draw
    monkeypatch.setattr(blocks, "_start", note)
    monkeypatch.setattr(blocks.Share, "draw", noted)
    drawn = blocks.draw_blocks(
        train.images, train.labels, ROWS, SEED, processes=2, report=lambda rows: rows == 25 and children[0].kill()
    )
    assert not {0, 1} & set(here)
    assert np.array_equal(drawn.images, alone.images)


def test_a_process_ends_when_its_caller_is_gone(train):
    share = blocks.Share(np.asarray(train.images), np.asarray(train.labels), SEED, dict.fromkeys(range(1_000), 480))
    child = subprocess.Popen(blocks.COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        pickle.dump(share, child.stdin)
        child.stdin.close()  # as the end of the caller does
        assert child.wait(timeout=60) == blocks.CALLER_IS_GONE


def test_an_interrupted_caller_leaves_no_process_behind(train, small, monkeypatch):
    started = []
    start = blocks._start

    def note(share):
        started.append(start(share))
        return started[-1]

    def interrupt(child):
        raise KeyboardInterrupt

    monkeypatch.setattr(blocks, "_start", note)
    monkeypatch.setattr(blocks, "_receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        blocks.draw_blocks(train.images, train.labels, ROWS, SEED, processes=2)
    assert len(started) == 2
    assert all(child.returncode is not None for child in started)
    if os.name == "posix":
        assert {child.returncode for child in started} == {-signal.SIGKILL}
