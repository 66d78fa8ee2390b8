"""Runs twistd so that it dies by SIGKILL at a named point of the write path.

``CRASH_AT=POINT:N`` names the point and the call of it that is the last; counting begins with
SIGUSR2, so that a test can look at the server first. The points are put around the program's own
functions from outside: nothing in imd knows of them, and a point whose function is gone fails at
start, not silently. :data:`POINTS` is what the tests go through.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

_armed = threading.Event()
_calls = 0
_counting = threading.Lock()
#: set in the thread, and for the time, in which a batch of the writer is carried out
_batch = threading.local()


def _arm(number: int, frame: object) -> None:
    _armed.set()


def _pass() -> None:
    """The point is passed; the N-th passing is the last thing that this process does."""
    global _calls
    if not _armed.is_set():
        return
    with _counting:
        _calls += 1
        if _calls >= _last:
            os.kill(os.getpid(), signal.SIGKILL)


def _in_batch() -> bool:
    return bool(getattr(_batch, "open", False))


def _always(*args: Any) -> bool:
    return True


def _around(
    owner: Any,
    name: str,
    *,
    before: Callable[..., bool] | None = None,
    after: Callable[..., bool] | None = None,
) -> None:
    """Pass the point before or after a function, when the given condition holds for its call."""
    inner = getattr(owner, name)

    def wrapped(*args: Any, **kw: Any) -> Any:
        if before is not None and before(*args):
            _pass()
        value = inner(*args, **kw)
        if after is not None and after(*args):
            _pass()
        return value

    setattr(owner, name, wrapped)


def _mark_batches() -> None:
    """Know a transaction of the writer from any other."""
    from imd.storage import writer as module

    writer: Any = module

    inner = writer.transact

    def transact(*args: Any, **kw: Any) -> Any:
        _batch.open = True
        try:
            return inner(*args, **kw)
        finally:
            _batch.open = False

    writer.transact = transact


def _connections() -> list[Any]:
    from imd.storage.sqlite import SqliteConnection

    try:
        from imd.storage.postgres import PostgresConnection
    except ImportError:
        return [SqliteConnection]
    return [SqliteConnection, PostgresConnection]


def _is_batch(*args: Any) -> bool:
    return _in_batch()


def before_begin() -> None:
    for connection in _connections():
        _around(connection, "begin", before=_is_batch)


def after_lock() -> None:
    from imd.storage.log import Log

    _around(Log, "facts", after=_is_batch)


def before_insert() -> None:
    from imd.storage.log import Log

    _around(Log, "store", before=lambda log, heads, entries, now: _in_batch() and bool(entries))


def after_insert() -> None:
    from imd.storage.log import Log

    _around(Log, "_move_ends", before=_is_batch)


def amid_sessions() -> None:
    """Some sessions of a batch of several have been moved, the senders' marks have not."""
    from imd.storage.log import Log

    def several(log: Log, ends: Sequence[object]) -> bool:
        return _in_batch() and len(ends) > 1

    _around(Log, "_move_senders", before=several)


def before_commit() -> None:
    for connection in _connections():
        _around(connection, "commit", before=_is_batch)


def after_commit() -> None:
    for connection in _connections():
        _around(connection, "commit", after=_is_batch)


def before_announce() -> None:
    from imd.delivery.courier import Courier

    _around(Courier, "committed", before=_always)


def after_announce() -> None:
    from imd.delivery.courier import Courier

    _around(Courier, "committed", after=_always)


def before_answer() -> None:
    """Some callers of a batch have been answered, others have not."""
    from imd.storage import writer

    _around(writer._Waiting, "settle", before=_always)


def before_socket_write() -> None:
    """Some sockets have got a message, others have not."""
    from imd.websocket.protocol import SocketProtocol

    _around(SocketProtocol, "put", before=lambda wire, frame: b'"method":"message"' in frame)


#: in the order of the write path, with how often the point is passed for a message, about
POINTS: Final[dict[str, Callable[[], None]]] = {
    "before-begin": before_begin,
    "after-lock": after_lock,
    "before-insert": before_insert,
    "after-insert": after_insert,
    "amid-sessions": amid_sessions,
    "before-commit": before_commit,
    "after-commit": after_commit,
    "before-announce": before_announce,
    "after-announce": after_announce,
    "before-answer": before_answer,
    "before-socket-write": before_socket_write,
}
_last = 0


def claimed() -> None:
    from imd.push.postman import Postman

    _around(Postman, "_begin", before=_always)


def amid_sending() -> None:
    from imd.push.http import HttpPoster

    def is_push(poster: object, url: str, *rest: object) -> bool:
        return "template/send" in url

    _around(HttpPoster, "post", before=is_push)


def sent() -> None:
    from imd.push.postman import Postman

    _around(Postman, "_arrived", before=_always)


def before_marking() -> None:
    """The result is being written, and not committed."""
    from imd.storage.outbox import Outbox

    _around(Outbox, "end", after=_always)


def after_marking() -> None:
    from imd.push.rounds import Rounds

    _around(Rounds, "kick", before=_always)


#: the steps of a push, in their order
PUSH_POINTS: Final[dict[str, Callable[[], None]]] = {
    "claimed": claimed,
    "amid-sending": amid_sending,
    "sent": sent,
    "before-marking": before_marking,
    "after-marking": after_marking,
}


def main() -> None:
    """Set the point, then be twistd; the command line is ``imd`` and its options."""
    global _last
    point, _, last = os.environ["CRASH_AT"].partition(":")
    _last = int(last)
    _mark_batches()
    {**POINTS, **PUSH_POINTS}[point]()
    if lease := os.environ.get("CRASH_LEASE"):
        from imd.push import postman

        module: Any = postman
        module.LEASE = int(lease)
    signal.signal(signal.SIGUSR2, _arm)
    sys.argv = ["twistd", "-n", "--pidfile=", "imd", *sys.argv[1:]]
    from twisted.scripts.twistd import run

    run()


if __name__ == "__main__":
    main()
