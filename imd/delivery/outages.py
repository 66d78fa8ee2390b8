"""How a read that failed is logged: an outage is a line, anything else is a fault of the program.

Deliveries that read the database (badges, feeds, hints, notices) try again by themselves; they
call it from their except clause. It decides nothing.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from imd.domain.errors import Unavailable


def log_failed_read(log: Logger, sentence: str, **counts: Any) -> None:
    """Log the exception that is being handled; ``sentence`` is a format for ``counts``."""
    failure = Failure()
    if failure.check(Unavailable):
        log.warn(sentence, **counts)
    else:
        log.failure(sentence, failure, **counts)
