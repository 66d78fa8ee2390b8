"""A crowd of sockets makes no full collection, and what the start changed is put back."""

from __future__ import annotations

import gc

import pytest_twisted
from twisted.internet.task import Clock

from imd.service.collecting import SELDOM, collect_seldom
from imd.service.ordered import Steps


@pytest_twisted.ensureDeferred
async def test_full_looks_are_seldom_until_the_stop() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    steps = Steps(Clock())
    collect_seldom(steps)
    try:
        assert gc.get_threshold() == SELDOM != before
        assert gc.get_freeze_count() > frozen
        full = gc.get_stats()[2]["collections"]
        kept = [[number] for number in range(300_000)]
        assert gc.get_stats()[2]["collections"] == full, f"{len(kept)} objects that stay"
    finally:
        await steps.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
