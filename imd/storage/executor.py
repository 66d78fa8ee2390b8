"""Threads that run transactions, each with a connection of its own.

The store gives work here; the answer comes back to the reactor as a Deferred. A bounded queue, a
deadline for every piece of work, and a watchdog that breaks off a connection which does not
answer: a frozen database costs a 503, never a thread (pages 2.1 and 4.6). A connection that broke
is replaced by the next piece of work, so imd recovers with the database. What the work means is
not known here.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from threading import Thread
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.domain.errors import ImError, Unavailable
from imd.storage.engine import (
    Broken,
    Collided,
    CommitUnknown,
    Connect,
    Connection,
    Refused,
)

T = TypeVar("T")
Work = Callable[[Connection], T]

#: seconds between two looks of the watchdog
WATCH = 0.5
#: how often one piece of work is begun again after a broken connection or a collision
ATTEMPTS = 3


class Task(Generic[T]):
    """One piece of work on its way through the queue and a thread."""

    __slots__ = ("begun", "deadline", "done", "late", "queued", "settled", "work")

    def __init__(self, work: Work[T], queued: float, deadline: float) -> None:
        self.work, self.queued, self.deadline = work, queued, deadline
        #: when a thread took it (reactor seconds); 0 before
        self.begun = 0.0
        self.settled = False
        #: set when its connection was broken off because the deadline had passed
        self.late = False
        self.done: Deferred[T] = Deferred(lambda _: self._abandon())

    def _abandon(self) -> None:
        """The waiting caller left: only the answer is dropped, work under way goes on."""
        self.settled = True

    def settle(self, result: Any) -> None:
        if not self.settled:
            self.settled = True
            self.done.callback(result)


class Lane:
    """One thread and its connection."""

    def __init__(self, name: str, tasks: queue.SimpleQueue[Task[Any] | None], home: Executor):
        self.name, self._tasks, self._home = name, tasks, home
        self.connection: Connection | None = None
        self.task: Task[Any] | None = None
        self.thread = Thread(target=self._serve, name=name, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            if not task.settled:
                self.task = task
                task.begun = self._home.reactor.seconds()
                result = self._attempt(task)
                self.task = None
                self._home.finished(task, result)
            else:
                self._home.finished(task, None)
        self._discard()

    def _attempt(self, task: Task[Any]) -> Any:
        """The work's value, or a Failure; a connection in doubt is thrown away."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if self.connection is None:
                    self.connection = self._home.connect()
                return task.work(self.connection)
            except ImError:
                return Failure()
            except (Broken, Collided) as error:
                if isinstance(error, Broken):
                    fresh = self.connection is None
                    self._discard()
                    if fresh:
                        return Failure(error)
                if attempt == ATTEMPTS or task.late:
                    return Failure(error)
            except Refused:
                return Failure()
            except Exception:
                self._discard()
                return Failure()
        raise AssertionError("every attempt returns")

    def _discard(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:  # a dying connection may fail in any way; it is gone
                _log.debug("closing a connection failed: {kind}", kind=type(error).__name__)


class Executor:
    """A pool of lanes over one queue.

    ``waiting`` is how many pieces may queue before Unavailable; ``timeout`` is in seconds, from
    :meth:`run` to the answer. :meth:`close` waits for what runs.
    """

    def __init__(
        self,
        reactor: Any,
        connect: Connect,
        *,
        name: str,
        threads: int,
        waiting: int = 200,
        timeout: float = 10.0,
    ) -> None:
        self.reactor, self.connect = reactor, connect
        self.threads, self._waiting, self._timeout = threads, waiting, timeout
        self._tasks: queue.SimpleQueue[Task[Any] | None] = queue.SimpleQueue()
        self._live: dict[Task[Any], None] = {}
        self._lanes = [Lane(f"{name}-{n}", self._tasks, self) for n in range(threads)]
        self._watch = LoopingCall(self._look)
        self._watch.clock = reactor
        self._watch.start(WATCH, now=False)
        self._empty: Deferred[None] | None = None
        self.closed = False
        #: pieces of work that a thread took, and the seconds that they had waited for it
        self.begun, self.waited = 0, 0.0

    def run(self, work: Work[T]) -> Deferred[T]:
        """Run ``work`` in a thread; Unavailable when it cannot be answered in time."""
        if self.closed:
            return _failed("the store is closing")
        if len(self._live) >= self._waiting + self.threads:
            return _failed("too many requests are waiting for the database")
        now = self.reactor.seconds()
        task: Task[T] = Task(work, now, now + self._timeout)
        self._live[task] = None
        self._tasks.put(task)
        return task.done

    @property
    def load(self) -> int:
        """How many pieces of work are queued or running."""
        return len(self._live)

    def finished(self, task: Task[Any], result: Any) -> None:
        """Called in a lane's thread; the answer goes on in the reactor's."""
        self.reactor.callFromThread(self._settle, task, result)

    def _settle(self, task: Task[Any], result: Any) -> None:
        self._live.pop(task, None)
        if task.begun:
            self.begun += 1
            self.waited += task.begun - task.queued
        if isinstance(result, Failure):
            result = _explained(result)
        task.settle(result)
        if self._empty is not None and not self._live:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def _look(self) -> None:
        """The watchdog: refuse what waited too long, free the thread that is stuck too long.

        Work that runs is not given up here: its thread, freed, says what became of it, so that
        what did happen is also told.
        """
        now = self.reactor.seconds()
        running = {lane.task: lane for lane in self._lanes if lane.task is not None}
        for task in [task for task in self._live if task.deadline <= now]:
            lane = running.get(task)
            if lane is None:
                task.settle(Failure(Unavailable("The database did not answer in time.")))
                continue
            _log.warn("{lane}: no answer of the database in time", lane=lane.name)
            task.late, task.deadline = True, now + self._timeout
            connection = lane.connection
            if connection is not None and lane.task is task:
                connection.break_off()

    def close(self, limit: float) -> Deferred[None]:
        """Wait until what runs has ended, at most ``limit`` seconds; threads end after it."""
        self.closed = True
        done: Deferred[None] = Deferred()
        if self._live:
            self._empty = done
            late = self.reactor.callLater(limit, self._give_up)
            done.addBoth(lambda _: late.cancel() if late.active() else None)
        else:
            done.callback(None)
        return done.addCallback(lambda _: self._end())

    def _give_up(self) -> None:
        for lane in self._lanes:
            if lane.task is not None and lane.connection is not None:
                lane.connection.break_off()
        empty, self._empty = self._empty, None
        if empty is not None:
            empty.callback(None)

    def _end(self) -> None:
        if self._watch.running:
            self._watch.stop()
        for _ in self._lanes:
            self._tasks.put(None)


def _failed(why: str) -> Deferred[Any]:
    failed: Deferred[Any] = Deferred()
    failed.errback(Unavailable(f"The service cannot answer now: {why}."))
    return failed


def _explained(failure: Failure) -> Failure:
    """What callers understand; the storage's own errors are logged by kind only."""
    error = failure.value
    if isinstance(error, ImError | CommitUnknown | CancelledError):
        return failure
    if isinstance(error, Broken | Refused | Collided):
        _log.warn("the database cannot answer: {kind}", kind=str(error))
        return Failure(Unavailable("The database cannot answer at the moment."))
    return failure


_log = Logger()
