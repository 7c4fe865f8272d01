"""A process that publishes, promotes, reads and dies; driven by test_registry.py.

It imports everything once and forks for each attempt: a killed attempt is a killed process, and
fifty of them take seconds.
"""

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.inference import check_model_is_safe
from mnist_pipeline.registry import Registry
from tests.support import samples

MODEL = "mnist"
_SYSTEM_MODULES = {"posix", "_io", "fcntl"}


def work(root: Path, seed: int, *, promote: bool = True) -> str:
    """What a pipeline run does: publish the model of a seed and promote it."""
    registry = Registry(root)
    version: str = samples.publish(registry, MODEL, root.parent, seed, who=f"worker {seed}").version
    if promote:
        registry.promote(MODEL, version, reason=f"run {seed}", who=f"worker {seed}", run=f"run-{seed}")
    return version


def fork(action: Callable[[], Any]) -> int:
    """Run ``action`` in a forked process; its pid. The process ends with 0, or 1 after a `PipelineError`."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        action()
        status = 0
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def on_system_calls(handle: Callable[[], None]) -> None:
    """Call ``handle`` before and after every call of this process into the operating system's modules."""

    def profile(frame: FrameType, event: str, function: Any) -> None:
        if event in {"c_call", "c_return"}:
            owner = getattr(function, "__self__", None)
            module = function.__module__ or type(owner).__module__
            if module in _SYSTEM_MODULES:
                handle()

    sys.setprofile(profile)


def count_system_calls(action: Callable[[], Any]) -> int:
    count = 0

    def handle() -> None:
        nonlocal count
        count += 1

    on_system_calls(handle)
    action()
    sys.setprofile(None)
    return count


def die_at(point: int, action: Callable[[], Any]) -> None:
    """Do ``action``, but be killed at its ``point``-th system call."""
    left = point

    def handle() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    on_system_calls(handle)
    action()


def crash(root: Path, attempts: int) -> dict[str, Any]:
    """Kill so many runs at random system calls; after each, a next run finishes the job."""
    work(root, 0)
    points = count_system_calls(lambda: work(root, 1))
    chosen = random.Random(5)
    problems, killed = [], 0
    for seed in range(2, 2 + attempts):
        point = chosen.randint(1, points)
        killed += wait(fork(lambda s=seed, p=point: die_at(p, lambda: work(root, s)))) == -signal.SIGKILL
        problems += [f"killed at {point}: {problem}" for problem in inspect(root, between=True)]
        if wait(fork(lambda s=seed: work(root, s))):
            problems.append(f"killed at {point}: the next run failed")
        problems += [f"finished after {point}: {problem}" for problem in inspect(root, champion=seed)]
    return {"points": points, "killed": killed, "problems": problems}


def crash_prune(root: Path, attempts: int) -> dict[str, Any]:
    """Kill so many deletions at random system calls; after each, the next one finishes the job."""
    champion = work(root, 0)
    chance, problems, killed = random.Random(6), [], 0
    for round_ in range(attempts):
        for seed in (1, 2):
            work(root, seed, promote=False)
        if round_ == 0:
            points = count_system_calls(lambda: Registry(root).prune(MODEL, keep=0))
            continue
        point = chance.randint(1, points)
        killed += wait(fork(lambda p=point: die_at(p, lambda: Registry(root).prune(MODEL, keep=0)))) == -signal.SIGKILL
        problems += [f"killed at {point}: {problem}" for problem in inspect(root, between=True)]
        Registry(root).prune(MODEL, keep=0)
        problems += [f"finished after {point}: {problem}" for problem in inspect(root)]
        if (left := [row.version for row in Registry(root).versions(MODEL)]) != [champion]:
            problems.append(f"finished after {point}: {left} are left")
    return {"killed": killed, "problems": problems}


def inspect(root: Path, *, between: bool = False, champion: int | None = None) -> list[str]:
    """What is wrong with the registry; ``between`` two runs, aliases.json may be one change behind."""
    registry = Registry(root)
    findings = [f for f in registry.verify(MODEL) if not (between and f.version is None)]
    problems = [f"{finding.version}/{finding.file} {finding.problem}" for finding in findings]
    aliases = json.loads((root / MODEL / "aliases.json").read_bytes())
    served = registry.resolve(MODEL).version if aliases else None
    present = {row.version for row in registry.versions(MODEL)}
    if not present.issuperset({*aliases.values(), *([served] if served else [])}):
        problems.append(f"{aliases} or {served} is not one of {present}")
    if champion is not None:
        if not served == aliases["champion"] == samples.content_version(champion):
            problems.append(f"champion is {aliases} and {served}, not the model of seed {champion}")
        problems += [f"left over: {path.name}" for path in (root / MODEL).glob(".stage-*")]
    return problems


def read(root: Path, stop: Path) -> dict[str, Any]:
    """Look at the registry until ``stop`` appears; what was ever wrong."""
    rounds, problems = 0, set()
    while not stop.exists():
        if (root / MODEL / "aliases.json").exists():
            problems.update(inspect(root, between=True))
            rounds += 1
        time.sleep(0.02)  # leaves the processor to the one that is looked at
    return {"rounds": rounds, "problems": sorted(problems)}


def crowd(root: Path, seeds: list[int]) -> dict[str, Any]:
    """One process a seed, all at once; their exit codes."""
    ready, go = os.pipe()
    for seed in seeds:
        samples.write_model(root.parent, seed)

    def attempt(seed: int) -> None:
        os.close(go)
        os.read(ready, 1)
        work(root, seed)

    children = [fork(lambda s=seed: attempt(s)) for seed in seeds]
    os.close(go)
    return {"codes": [wait(child) for child in children]}


def limited(root: Path, limits: list[int], champion: int, seed: int) -> dict[str, Any]:
    """Publish with each limit on the size of files; the exit codes, and what is wrong with the registry after each."""

    def attempt(largest: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        work(root, seed)

    samples.write_model(root.parent, seed)
    found = [(wait(fork(lambda n=largest: attempt(n))), inspect(root, champion=champion)) for largest in limits]
    return {"codes": [code for code, _ in found], "problems": [problem for _, problem in found]}


def abandoned(root: Path, seed: int) -> dict[str, Any]:
    """Hold a stage open for ever; says so, then waits to be killed."""
    with Registry(root).stage(MODEL, samples.write_model(root.parent, seed)) as stage:
        sys.stdout.write(stage.folder.name + "\n")
        sys.stdout.flush()
        while True:
            time.sleep(60)


def main() -> None:
    check_model_is_safe(samples.model_bytes(0))
    action, root, *rest = sys.argv[1:]
    arguments = [Path(text) if action == "read" else json.loads(text) for text in rest]
    result = globals()[action](Path(root), *arguments)
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
