"""Whether a channel is believed to be up, as a small table of states.

The postman asks before it claims and says how each attempt went (page 4.4). It knows no clock:
times are the caller's seconds.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

#: failures in a row after which the channel counts as down
FAILURES: Final = 5
#: seconds until the first probe, doubling up to the longest between two
FIRST, LONGEST = 1.0, 30.0


class Stage(Enum):
    """
    UP       attempts go out       FAILURES in a row: DOWN
    DOWN     nothing goes out      its pause is over: PROBING
    PROBING  one attempt goes out  success: UP, failure: DOWN with twice the pause
    """

    UP = "up"
    DOWN = "down"
    PROBING = "probing"


class Breaker:
    """The state of one channel in one process."""

    def __init__(self) -> None:
        self.stage = Stage.UP
        self._failures, self._pause, self._until = 0, FIRST, 0.0

    def allows(self, now: float, wanted: int) -> int:
        """How many attempts may begin now."""
        if self.stage is Stage.UP:
            return wanted
        if self.stage is Stage.DOWN and now >= self._until:
            return min(1, wanted)
        return 0

    def probing(self) -> None:
        """The attempt that was allowed while down has begun."""
        if self.stage is Stage.DOWN:
            self.stage = Stage.PROBING

    def again_at(self) -> float | None:
        """When to look again while the channel is down; None when it is up."""
        return self._until if self.stage is Stage.DOWN else None

    def succeeded(self) -> bool:
        """An attempt reached the provider; True when the channel has just come back."""
        back = self.stage is not Stage.UP
        self.stage, self._failures, self._pause = Stage.UP, 0, FIRST
        return back

    def failed(self, now: float) -> bool:
        """An attempt did not reach the provider; True when the channel has just gone down."""
        self._failures += 1
        if self.stage is Stage.PROBING:
            self._pause = min(LONGEST, self._pause * 2)
            self.stage, self._until = Stage.DOWN, now + self._pause
            return False
        if self.stage is Stage.UP and self._failures >= FAILURES:
            self.stage, self._until = Stage.DOWN, now + self._pause
            return True
        return False

    def unused(self, now: float) -> None:
        """The probe found nothing to try, or ended without a word about the channel."""
        if self.stage is Stage.PROBING:
            self.stage, self._until = Stage.DOWN, now + self._pause
