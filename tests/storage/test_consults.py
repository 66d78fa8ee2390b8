"""The clock's turn to compare the ledgers: one process of all has it (page 4.5)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from imd.storage.consults import open_consults
from tests.storage.ground import migrated_postgres, migrated_sqlite, postgres_copy, sqlite_copy

__all__ = ["migrated_postgres", "migrated_sqlite", "postgres_copy", "sqlite_copy"]

NOW, EVERY = 1_800_000_000_000, 60_000


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    return request.getfixturevalue(f"{request.param}_copy")


def test_one_has_the_turn_and_all_learn_what_it_found(url):
    with open_consults(url) as one, open_consults(url) as other:
        assert one.turn(NOW, EVERY) == (True, {})
        assert other.turn(NOW + 1, EVERY) == (False, {})
        one.end_turn({"fields_differ": 2})
        assert other.turn(NOW + EVERY - 1, EVERY) == (False, {"fields_differ": 2})
        assert other.turn(NOW + EVERY, EVERY) == (True, {"fields_differ": 2})
        assert one.turn(NOW + EVERY, EVERY)[0] is False


def test_a_clock_that_was_set_back_does_not_end_the_turns(url):
    with open_consults(url) as book:
        assert book.turn(NOW, EVERY)[0]
        assert book.turn(NOW - 10 * EVERY, EVERY)[0]


def test_many_who_ask_at_once_are_given_one_turn(url):
    with ExitStack() as open_, ThreadPoolExecutor(8) as pool:
        books = [open_.enter_context(open_consults(url)) for _ in range(8)]
        for round_ in range(5):
            now = NOW + round_ * EVERY
            turns = list(pool.map(lambda book, now=now: book.turn(now, EVERY)[0], books))
            assert turns.count(True) == 1
