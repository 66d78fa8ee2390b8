"""The time of day, as every room gets it: through the door (page 6, rule 6).

:mod:`imd.service.wiring` makes the one clock of a process. It knows nothing of timers, which are
the reactor's.
"""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clock; it implements ``ports.Clock``."""

    def now(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000_000
