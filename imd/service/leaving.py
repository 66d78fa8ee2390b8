"""How the process ends: with which status, on which signal, and when at the very latest.

:mod:`imd.service.tap` installs it. twistd ends with status 0 after a failed start and by the
signal after a clean stop; the contract wants it the other way round (pages 4.6 and 5.2). It
refuses to know what is being stopped.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads


def say(line: str) -> None:
    """One line for the operator on the real stderr, which twistd turns into a log otherwise."""
    stderr = sys.__stderr__
    if stderr is not None:
        stderr.write(f"{line}\n")
        stderr.flush()


def stop(reactor: IReactorCore) -> None:
    """Stop the reactor; once is enough."""
    with suppress(ReactorNotRunning):
        reactor.stop()


def fail(reactor: IReactorCore, status: int = 1) -> None:
    """Stop the reactor, so that everything else ends cleanly, and exit with ``status``."""
    atexit.register(_exit, status)
    # A start can fail before the reactor runs.
    reactor.callWhenRunning(stop, reactor)


def _exit(status: int) -> None:
    # twistd has no door for an exit status; this runs first among what runs at exit.
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(status)


def heed_signals(reactor: IReactorFromThreads, hangup: Callable[[], None]) -> None:
    """Let SIGTERM and SIGINT mean a clean stop with status 0, and SIGHUP call ``hangup``.

    A second SIGINT ends the process at once. Call it once the reactor runs, which has put its own
    signal functions in place by then.
    """

    def on_stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        reactor.callFromThread(stop, reactor)

    def on_hangup(number: int, frame: FrameType | None) -> None:
        reactor.callFromThread(hangup)

    signal.signal(signal.SIGTERM, on_stop)
    signal.signal(signal.SIGINT, on_stop)
    signal.signal(signal.SIGHUP, on_hangup)


def leave_within(seconds: float) -> None:
    """End the process ``seconds`` from now, whatever still holds it: a thread, a lock, a query."""

    def give_up() -> None:
        say(f"imd: still not stopped after {seconds:g} s, leaving now")
        _exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
