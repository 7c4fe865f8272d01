"""Worker processes of the server, one question each at a time; one that dies or hangs is replaced."""

import asyncio
import queue
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from typing import Any

from mnist_pipeline.errors import PipelineError
from mnist_pipeline.scoring.single import Reply, unanswered
from mnist_pipeline.scoring.workers.start import exit_code, start_process
from mnist_pipeline.web.worker import Limits, Question, Rehearsal, Setup, work

STRIKES = 2
"""An image at which so many workers died gets an error. One death may have come from outside."""
GRACE_SECONDS = 5.0
"""For a process to end."""
MAX_STARTS = 5
"""Workers for one image that die before they are given it, after which the server gives up."""
START_SECONDS = 60.0
"""For a process to start, on a machine that has much else to do."""


class WorkerGoneError(Exception):
    """The process died, or did not answer in time; it is no use any more.

    Attributes:
        asked: it had been given the request.
        in_time: it did not just take too long.
    """

    def __init__(self, *, asked: bool, in_time: bool) -> None:
        super().__init__()
        self.asked, self.in_time = asked, in_time


class Worker:
    """One process.

    Raises:
        OSError: no further process can be had.
    """

    def __init__(self, setup: Setup) -> None:
        self._ready = False
        self._connection, theirs = Pipe()
        try:
            with theirs:
                self._process = start_process(work, theirs, setup)
        except BaseException:
            self._connection.close()
            raise

    def ask(self, request: Question | Rehearsal, seconds: float) -> Any:
        """Its answer.

        Raises:
            WorkerGoneError: it died, or did not answer in time.
        """
        asked = False
        try:
            if not self._ready:
                self._receive(START_SECONDS)
                self._ready = True
            if exit_code(self._process, 0) is None:
                self._connection.send(request)
                asked = True
                return self._receive(seconds)
        except TimeoutError:
            raise WorkerGoneError(asked=asked, in_time=False) from None
        except (EOFError, OSError):
            pass
        raise WorkerGoneError(asked=asked, in_time=True)

    def _receive(self, seconds: float) -> Any:
        if not self._connection.poll(seconds):
            raise TimeoutError
        return self._connection.recv()

    def kill(self) -> None:
        """Stop it; whoever waits for its answer gets none."""
        if exit_code(self._process, 0) is None:
            self._process.kill()

    def end(self) -> None:
        """Stop it, if it still runs, and clean up."""
        self._connection.close()
        self.kill()
        if exit_code(self._process, GRACE_SECONDS) is not None:
            self._process.close()


class Workers:
    """So many processes, each started when it is first needed.

    Attributes:
        count: how many at most.
        replaced: how many died or hung.
    """

    def __init__(self, count: int, limits: Limits) -> None:
        self.count = count
        self.replaced = 0
        self._limits = limits
        self._closed = False
        self._running: set[Worker] = set()
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="ask")

    async def classify(self, question: Question) -> Reply:
        """The answer for one image; of one that brings workers down, or takes too long, a row that says so.

        Raises:
            PipelineError: the model cannot be loaded.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._classify, question)

    async def rehearse(self, rehearsal: Rehearsal) -> float:
        """The largest difference of a probability to the stored ones.

        Raises:
            PipelineError: the model cannot be loaded, or the process died.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._rehearse, rehearsal)

    def close(self) -> None:
        """End all processes; questions that are on their way get no answer."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in list(self._running):
            worker.kill()
        self._threads.shutdown()
        for worker in self._running:
            worker.end()

    def _classify(self, question: Question) -> Reply:
        strikes = starts = 0
        while strikes < STRIKES and starts < MAX_STARTS:
            try:
                reply: Reply = _or_raise(self._ask(question))
            except WorkerGoneError as gone:
                if gone.asked and not gone.in_time:
                    return unanswered(question.name, "timed out", f"took more than {self._limits.seconds:g} s")
                strikes += gone.asked
                starts += not gone.asked
            else:
                return reply
        if strikes < STRIKES:
            raise PipelineError("worker processes keep dying before they are given an image")
        return unanswered(question.name, "crashed", f"brought {STRIKES} workers down")

    def _rehearse(self, rehearsal: Rehearsal) -> float:
        try:
            return float(_or_raise(self._ask(rehearsal)))
        except WorkerGoneError:
            raise PipelineError("the process that tried the model died") from None

    def _ask(self, request: Question | Rehearsal) -> Any:
        """By one of the workers, which another one follows if it does not survive."""
        worker = self._idle.get()
        try:
            if worker is None:
                worker = self._start()
            answer = worker.ask(request, self._limits.seconds)
        except BaseException:
            self._idle.put(None)
            if worker is not None:
                self.replaced += 1
                self._running.discard(worker)
                worker.end()
            raise
        self._idle.put(worker)
        return answer

    def _start(self) -> Worker:
        if self._closed:
            raise PipelineError("the server is about to end")
        try:
            worker = Worker(Setup(self._limits))
        except OSError as error:
            raise PipelineError(f"no worker process can be started: {error.strerror or error}") from None
        self._running.add(worker)
        return worker


def _or_raise(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer
