"""A database that is away is a warning and no traceback, however often it is asked."""

from __future__ import annotations

import pytest
from twisted.logger import Logger, LogLevel, capturedLogs

from imd.delivery.outages import log_failed_read
from imd.domain.errors import Unavailable


@pytest.mark.parametrize(
    ("error", "level"), [(Unavailable(), LogLevel.warn), (KeyError("x"), LogLevel.critical)]
)
def test_an_outage_is_a_warning(error: Exception, level: object) -> None:
    with capturedLogs() as events:
        try:
            raise error
        except Exception:
            log_failed_read(Logger(), "not read; users: {users}", users=2)
    assert [(event["log_level"], event["users"]) for event in events] == [(level, 2)]
    assert ("log_failure" in events[0]) == (level is LogLevel.critical)
