"""What this process is among others, and how one that stands alone starts, is warned and ends.

:mod:`imd.service.tap` picks a :class:`Standing` by the options: :class:`Alone` here, the supervisor
of several in :mod:`imd.service.supervisor`, one of its workers in :mod:`imd.service.worker`. Wiring
takes its port from a :class:`Place`. It refuses to know what is served.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol

from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger

from imd.config import Settings
from imd.service import leaving
from imd.service.announcing import announce, watch
from imd.service.listening import open_port, port_number
from imd.service.notify import Systemd
from imd.service.ordered import Steps

#: seconds after the drain at which a process ends in any case (page 4.6 allows 5)
LAST_RESORT = 4.7


class Cause(Enum):
    """What a start failed on: whether another one, with nothing changed, would fail too."""

    SETTINGS = "settings"
    WORLD = "world"


class Standing(Protocol):
    """What the root of the service tree asks of the kind of process that it is."""

    def serve(self, settings: Settings, reactor: Any, steps: Steps) -> Awaitable[None]:
        """The start; see :class:`imd.service.ordered.OrderedService`."""

    def hangup(self) -> None:
        """SIGHUP came."""

    def refuse(self, lines: Sequence[str], cause: Cause) -> None:
        """Tell the operator why the start failed."""

    def last_resort(self) -> float:
        """Seconds after which a stop that is still not done is cut off."""


class Gathered(NamedTuple):
    """One kind of figures of all processes: each with its number, None for the only one."""

    found: Sequence[tuple[int | None, Any]]
    #: metric families of processes that have ended
    past: Sequence[Any] = ()
    #: how many workers serve, how many should, how often one was started again
    crew: Mapping[str, int] | None = None


class Place(Protocol):
    """Where a serving process gets its port from, and who waits for it to be ready."""

    async def open_port(self, settings: Settings, site: IProtocolFactory) -> IListeningPort:
        """Begin to accept connections; CannotServe with the reason when that cannot be."""

    def ready(self, settings: Settings, port: IListeningPort, steps: Steps) -> None:
        """The server serves; ``steps`` takes what goes on from now on."""

    def patience(self, drain: float) -> float:
        """Seconds that a drain may take, at most ``drain``."""

    def share(self, figures: Mapping[str, Callable[[], Any]]) -> None:
        """What this process tells of itself, by kind: plain values that JSON can carry."""

    def degraded(self) -> list[str]:
        """What is missing of this server, though it serves (``/readyz``)."""

    async def gather(self, kind: str) -> Gathered:
        """What all processes of the server tell; Unavailable when they cannot be asked."""


class Alone:
    """The one process of a server: a standing and its own place."""

    log = Logger()

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self._drain, self._reactor = settings.http.drain, reactor
        self._figures: Mapping[str, Callable[[], Any]] = {}

    async def serve(self, settings: Settings, reactor: Any, steps: Steps) -> None:
        """All of :func:`imd.service.wiring.serve`."""
        from imd.service.wiring import serve

        await serve(settings, reactor, steps, self)

    def hangup(self) -> None:
        """There is nobody to restart one after another (page 4.6)."""
        self.log.info("SIGHUP is ignored: this is one process without workers")

    def refuse(self, lines: Sequence[str], cause: Cause) -> None:
        """On stderr; whoever started us decides what follows."""
        for line in lines:
            leaving.say(f"imd: {line}")

    def last_resort(self) -> float:
        """A little less than page 4.6 allows."""
        return self._drain + LAST_RESORT

    async def open_port(self, settings: Settings, site: IProtocolFactory) -> IListeningPort:
        """``http.interface`` and ``http.port``, or systemd's socket."""
        trusted = settings.auth.mode == "trusted"
        return await open_port(self._reactor, settings.http, site, loopback_only=trusted)

    def ready(self, settings: Settings, port: IListeningPort, steps: Steps) -> None:
        """Say so, to the log and to systemd."""
        announce(settings, port_number(port))
        watch(steps, self._reactor, Systemd(os.environ), self.last_resort)

    def patience(self, drain: float) -> float:
        """The whole of it."""
        return drain

    def share(self, figures: Mapping[str, Callable[[], Any]]) -> None:
        """Nobody else asks for them."""
        self._figures = figures

    def degraded(self) -> list[str]:
        """Nothing."""
        return []

    async def gather(self, kind: str) -> Gathered:
        """Its own, which are all."""
        return Gathered([(None, self._figures[kind]())])
