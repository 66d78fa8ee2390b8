"""The harness finds out what it is there for: every mutant of imd breaks a promise in a short run.

Two of them run with the ordinary suite; ``IMD_FAULTS_MUTANTS=all`` (``make faults``) takes all.
That each still fits the source is tried always.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.faults.mutant import Moved, Mutant, broken, found_out
from tests.faults.mutants import MUTANTS
from tests.redis_server import RedisServer
from tests.servers import PostgresServer

#: runs in which a mutant must be found out
ATTEMPTS = 3
SHORT = ("told-again", "marks-moved-by-making-a-session")


def _wanted() -> list[Mutant]:
    names = os.environ.get("IMD_FAULTS_MUTANTS") or ",".join(SHORT)
    return [one for one in MUTANTS if names == "all" or one.name in names.split(",")]


def _servers(
    mutant: Mutant, request: pytest.FixtureRequest
) -> tuple[PostgresServer | None, RedisServer | None]:
    """Those that the mutant's ground needs."""
    if mutant.ground == "sqlite":
        return None, None
    bus = mutant.ground in ("bus", "workers")
    redis = request.getfixturevalue("breakable_redis") if bus else None
    return request.getfixturevalue("breakable_postgres"), redis


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Mutant) -> None:
    for file, text in broken(mutant).items():
        compile(text, file, "exec")


def test_a_mutant_that_does_not_fit_says_so() -> None:
    gone = MUTANTS[0].changes[0]._replace(old="this is not there")
    with pytest.raises(Moved, match="0 times in"):
        broken(Mutant("gone", frozenset(), [gone]))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mutant", _wanted(), ids=lambda mutant: mutant.name)
def test_a_mutant_is_found_out(
    mutant: Mutant, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    postgres, redis = _servers(mutant, request)
    for seed in range(1, ATTEMPTS + 1):
        if asyncio.run(found_out(mutant, tmp_path / str(seed), postgres, redis, seed)):
            return
    pytest.fail(f"{mutant.name} was not found out in {ATTEMPTS} runs")
