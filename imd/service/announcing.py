"""What is said when a server is up: the start-up lines, and systemd's signs (pages 5.2 and 5.5).

A process alone says it of itself, a supervisor of all its workers. :func:`repeat` is here for
both. It refuses to know what makes a server ready.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from twisted.logger import Logger

from imd import __version__
from imd.config import Settings
from imd.service.notify import ALIVE, MORE_TIME, READY, STOPPING, Systemd
from imd.service.ordered import Steps
from imd.service.steady import Steady

log = Logger()

#: seconds that the stop of something small may take
AT_ONCE: Final = 0.2
#: seconds for the end of the process itself, after its last resort
_SPARE: Final = 5.0


def repeat(
    steps: Steps, reactor: Any, name: str, every: float, work: Callable[[], Awaitable[Any] | None]
) -> Steady:
    """Start a repeating call, and let it stop in its place."""
    steady = Steady(name, every, work, reactor)
    steady.start()
    steps.add(name, steady.stop, AT_ONCE)
    return steady


def announce(settings: Settings, port: int) -> None:
    """The start-up lines, as the original's (page 5.2)."""
    log.info(
        "Starting IM server, version {version}, running on port {port}, {time}",
        version=__version__,
        port=port,
        time=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    log.info("Configuration profile: {profile}", profile=settings.profile)
    if settings.auth.mode == "trusted":
        log.warn(
            "auth.mode is trusted: whoever reaches {interface} is believed to be anybody",
            interface=settings.http.interface,
        )


def watch(steps: Steps, reactor: Any, systemd: Systemd, leave: Callable[[], float]) -> None:
    """Tell systemd that the server is ready, then that it is alive, at last that it stops.

    ``leave`` says at the stop how many seconds it may take, so that the unit's TimeoutStopSec
    needs not follow ``http.drain``.
    """
    systemd.tell(READY)
    if systemd.alive_every is not None:
        repeat(steps, reactor, "watchdog", systemd.alive_every, lambda: systemd.tell(ALIVE))

    def stopping() -> None:
        systemd.tell(STOPPING)
        systemd.tell(MORE_TIME.format(int((leave() + _SPARE) * 1_000_000)))

    steps.add("systemd", stopping, AT_ONCE)
