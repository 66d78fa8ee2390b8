"""Tell systemd how the service is: ready, alive, stopping (page 5.5, ``Type=notify``).

Wiring sends READY once the port is open. Without NOTIFY_SOCKET everything here does nothing; it
refuses to know what makes a server ready.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from twisted.logger import Logger

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"
#: to be formatted with the monotonic clock in microseconds, which ``Type=notify-reload`` wants
RELOADING = "RELOADING=1\nMONOTONIC_USEC={}"
#: to be formatted with the microseconds that the stop may take from now on
MORE_TIME = "EXTEND_TIMEOUT_USEC={}"


class Systemd:
    """The notify socket of this process's environment, if there is one."""

    log = Logger()

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.alive_every = self._interval(environ) if self._address else None
        """Seconds between two signs of life; None when no watchdog waits for them."""

    @staticmethod
    def _interval(environ: Mapping[str, str]) -> float | None:
        microseconds = environ.get("WATCHDOG_USEC", "")
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        if not microseconds.isdecimal() or int(microseconds) == 0:
            return None
        return int(microseconds) / 2_000_000

    def tell(self, state: str) -> None:
        """Send one state; a failure is logged, since the service can go on without."""
        if self._address[:1] not in ("/", "@"):
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.connect(address)
                sender.send(state.encode("ascii"))
        except OSError as error:
            self.log.warn(
                "systemd was not told {state}: {reason}", state=state, reason=error.strerror
            )
