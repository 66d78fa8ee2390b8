"""The grouping writer: concurrent sends and marks share transactions (page 4.2).

Actions give it one wish at a time and wait; it commits whatever gathered while the former
transaction was under way, so a batch never waits for company. Where the database takes several
writers, a small batch does not keep the next one waiting either, unless that is for one of its
sessions. A wish belongs to the writer, not to its caller: who hangs up only stops waiting. An
unknown outcome is settled by looking for the message under the session's lock before anything is
said. What is new is announced, in order, before the callers are answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.actions.ports import Clock, Committed, Posted
from imd.domain.audit import Note
from imd.domain.errors import ImError, Unavailable
from imd.domain.message import Draft
from imd.domain.participant import Mark, Marked
from imd.domain.push import NOTHING, Outbound
from imd.storage.batch import Busy, Job, Result, carry_out
from imd.storage.engine import CommitUnknown, Connection
from imd.storage.executor import Executor
from imd.storage.transaction import Transaction, transact

#: the most wishes in one transaction, and the most that may wait
MOST_BATCH, MOST_WAITING = 256, 20_000
#: a batch of no more does not keep the next one waiting; larger ones are worth waiting for
SMALL = 2
#: how many wishes of sessions that are under way are passed over when a batch is gathered
MOST_PASSED = 16
#: seconds before wishes of a session that another transaction holds are tried again
PAUSE = 0.005
#: seconds before a commit of unknown outcome is looked up
SETTLE_PAUSE = 0.2

_log = Logger()


def _unmeasured(wishes: int, seconds: float) -> None:
    """Where there are no metrics."""


class _Waiting:
    """A job, its deadline (reactor seconds), and the Deferred of whoever waits.

    ``alone`` after it was in a batch that the database refused for no known reason.
    """

    __slots__ = ("alone", "deadline", "done", "job", "left")

    def __init__(self, job: Job, deadline: float) -> None:
        self.job, self.deadline = job, deadline
        self.left = self.alone = False
        self.done: Deferred[Any] = Deferred(lambda _: self._leave())

    def _leave(self) -> None:
        self.left = True

    def settle(self, outcome: object) -> None:
        if not self.left:
            self.left = True
            self.done.callback(Failure(outcome) if isinstance(outcome, ImError) else outcome)


class _Flight(NamedTuple):
    """A batch whose transaction is under way since ``begun`` (reactor seconds)."""

    batch: list[_Waiting]
    sessions: frozenset[str]
    begun: float


class GroupingWriter:
    """Implements the port ``Writer`` over an executor, with a transaction a thread at most.

    ``announce`` is told of new messages after each commit; ``timeout`` is in seconds; ``outbound``
    says what the messages leave to be pushed.
    """

    def __init__(
        self,
        reactor: Any,
        executor: Executor,
        clock: Clock,
        announce: Callable[[Sequence[Committed]], None],
        timeout: float = 10.0,
        outbound: Outbound = NOTHING,
    ) -> None:
        self._reactor, self._executor, self._clock = reactor, executor, clock
        self._announce, self._timeout, self._outbound = announce, timeout, outbound
        self._waiting: deque[_Waiting] = deque()
        self._flights: list[_Flight] = []
        self._pausing = False
        self._idle: list[Deferred[None]] = []
        #: told how many wishes each transaction carried, and its seconds from queue to answer
        self.batched: Callable[[int, float], None] = _unmeasured

    @property
    def waiting(self) -> int:
        """How many wishes wait for a transaction."""
        return len(self._waiting)

    def post(self, draft: Draft, origin: object = None) -> Deferred[Posted]:
        """Store a message; fires when it is durable. Unavailable is safe to repeat with its key."""
        return self._add(Job(draft, origin))

    def mark(self, mark: Mark, named: bool = False) -> Deferred[Marked]:
        """Move a member's marks; ``named`` when a service named the member (403, not 404)."""
        return self._add(Job(mark, None, named))

    def note(self, note: Note) -> Deferred[Note]:
        """Write an act down; fires when it is durable."""
        return self._add(Job(note))

    def idle(self) -> Deferred[None]:
        """Fires when nothing waits and nothing is under way."""
        done: Deferred[None] = Deferred()
        self._idle.append(done)
        self._kick()
        return done

    def _add(self, job: Job) -> Deferred[Any]:
        waiting = _Waiting(job, self._reactor.seconds() + self._timeout)
        if len(self._waiting) >= MOST_WAITING:
            waiting.settle(Unavailable("Too many messages are waiting to be stored."))
        else:
            self._waiting.append(waiting)
            self._kick()
        return waiting.done

    def _kick(self) -> None:
        while self._may_start():
            batch, late = self._gather()
            if batch:
                self._start(batch)
            # Only now: who is told may send again at once, and must not overtake what was taken.
            for waiting in late:
                waiting.settle(Unavailable("The message could not be stored in time."))
            if not batch:
                break
        if not (self._waiting or self._flights or self._pausing):
            idle, self._idle = self._idle, []
            for done in idle:
                done.callback(None)

    def _may_start(self) -> bool:
        """Whether a thread is free, and everything under way too small to wait for."""
        return (
            bool(self._waiting)
            and not self._pausing
            and len(self._flights) < self._executor.threads
            and all(len(flight.batch) <= SMALL for flight in self._flights)
        )

    def _gather(self) -> tuple[list[_Waiting], list[_Waiting]]:
        """What may go in one transaction, and what came too late for any.

        The sessions that are under way keep their order.
        """
        now = self._reactor.seconds()
        flying = {id_ for flight in self._flights for id_ in flight.sessions}
        batch: list[_Waiting] = []
        late: list[_Waiting] = []
        passed: list[_Waiting] = []
        while self._waiting and len(batch) < MOST_BATCH and len(passed) < MOST_PASSED:
            if batch and (batch[0].alone or self._waiting[0].alone):
                break
            waiting = self._waiting.popleft()
            if waiting.deadline <= now:
                late.append(waiting)
            elif waiting.job.session_id in flying:
                passed.append(waiting)
            else:
                batch.append(waiting)
        self._waiting.extendleft(reversed(passed))
        return batch, late

    def _start(self, batch: list[_Waiting]) -> None:
        jobs = [waiting.job for waiting in batch]
        sessions = frozenset(job.session_id for job in jobs if job.session_id is not None)
        flight = _Flight(batch, sessions, self._reactor.seconds())
        self._flights.append(flight)
        now_ms = self._clock.now()

        def work(connection: Connection) -> Result:
            def inside(transaction: Transaction) -> Result:
                return carry_out(transaction, jobs, now_ms)

            return transact(connection, inside, write=True, outbound=self._outbound)

        self._executor.run(work).addCallbacks(
            self._done, self._failed, callbackArgs=(flight,), errbackArgs=(flight,)
        ).addErrback(self._lost, flight)

    def _done(self, result: Result, flight: _Flight) -> None:
        batch = flight.batch
        self.batched(len(batch), self._reactor.seconds() - flight.begun)
        if result.committed:
            self._announce(result.committed)
        told = list(zip(batch, result.outcomes, strict=True))
        busy = [waiting for waiting, outcome in told if isinstance(outcome, Busy)]
        # Whoever is answered may send again at once, and must not overtake what goes back.
        self._land(flight, busy, PAUSE if len(busy) == len(batch) else 0.0)
        for waiting, outcome in told:
            if not isinstance(outcome, Busy):
                waiting.settle(outcome)
        self._kick()

    def _failed(self, failure: Failure, flight: _Flight) -> None:
        batch = flight.batch
        if failure.check(CommitUnknown):
            _log.warn("the outcome of a commit is unknown; {count} wishes", count=len(batch))
            for waiting in batch:
                waiting.job = waiting.job._replace(unsettled=isinstance(waiting.job.wish, Draft))
            self._land(flight, batch, SETTLE_PAUSE)
            return
        if not failure.check(ImError):
            _log.failure("a batch of {count} failed", failure, count=len(batch))
            if len(batch) > 1:  # one of them is bad, and must fail alone
                for waiting in batch:
                    waiting.alone = True
                self._land(flight, batch)
                self._kick()
                return
        doubtful = [waiting for waiting in batch if waiting.job.unsettled]
        refusal = failure.value if failure.check(ImError) else Unavailable()
        self._land(flight, doubtful, SETTLE_PAUSE if doubtful else 0.0)
        for waiting in batch:
            if not waiting.job.unsettled:
                waiting.settle(refusal)
        self._kick()

    def _lost(self, failure: Failure, flight: _Flight) -> None:
        """Something here is wrong; nobody may wait for ever because of it."""
        count = len(flight.batch)
        _log.failure("the writer failed after a batch of {count}", failure, count=count)
        if flight in self._flights:
            self._flights.remove(flight)
        for waiting in flight.batch:
            waiting.settle(Unavailable())
        self._kick()

    def _land(self, flight: _Flight, again: Sequence[_Waiting], pause: float = 0.0) -> None:
        """The transaction is over; put wishes back at the front, and begin none for ``pause`` s."""
        self._flights.remove(flight)
        self._waiting.extendleft(reversed(again))
        if pause:
            self._pausing = True
            self._reactor.callLater(pause, self._resume)

    def _resume(self) -> None:
        self._pausing = False
        self._kick()
