"""Why a socket ends: the close codes as data (page 3.4)."""

from __future__ import annotations

from enum import IntEnum


class Close(IntEnum):
    NORMAL = 1000
    GOING_AWAY = 1001
    BINARY = 1003
    BAD_UTF8 = 1007
    TOO_BIG = 1009
    FAILED = 1011
    BAD_FRAMES = 4400
    UNAUTHENTICATED = 4401
    NOT_A_MEMBER = 4403
    SLOW_CONSUMER = 4408
    RATE_LIMITED = 4429
    DRAINING = 4503


#: what a client is told, and may show or log
REASONS: dict[Close, str] = {
    Close.NORMAL: "done",
    Close.GOING_AWAY: "server going",
    Close.BINARY: "text frames only",
    Close.BAD_UTF8: "bad UTF-8",
    Close.TOO_BIG: "frame too large",
    Close.FAILED: "the server failed",
    Close.BAD_FRAMES: "too many bad frames",
    Close.UNAUTHENTICATED: "no valid login",
    Close.NOT_A_MEMBER: "not a member or revoked",
    Close.SLOW_CONSUMER: "slow consumer",
    Close.RATE_LIMITED: "rate limit",
    Close.DRAINING: "reconnect_in={delay}",
}
