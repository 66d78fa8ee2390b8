from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from imd.service.clock import SystemClock
from imd.service.ids import NewIds
from tests.service.fakes import NOW, HandClock, counted_entropy


def milliseconds(id_: str) -> int:
    return int(id_[:12], 16)


def test_an_id_is_a_uuid_of_version_7_in_32_lower_case_digits():
    made = NewIds(HandClock(), counted_entropy())()
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    as_uuid = UUID(hex=made)
    assert as_uuid.version == 7 and as_uuid.variant == "specified in RFC 4122"
    assert milliseconds(made) == NOW


def test_ids_grow_within_a_millisecond_and_when_the_clock_steps_back():
    clock = HandClock()
    new_id = NewIds(clock, counted_entropy())
    made = [new_id() for _ in range(10_000)]
    clock.time -= 5_000
    made += [new_id() for _ in range(10)]
    clock.time += 60_000
    made.append(new_id())
    assert made == sorted(made) and len(set(made)) == len(made)
    assert milliseconds(made[-1]) == clock.time
    # 10,000 in one millisecond borrow a few from the future.
    assert milliseconds(made[9_999]) <= NOW + 5


def test_two_processes_make_different_ids_at_the_same_time():
    one, other = NewIds(HandClock(), os.urandom), NewIds(HandClock(), os.urandom)
    assert len({*(one() for _ in range(1000)), *(other() for _ in range(1000))}) == 2000


def test_threads_share_one_order():
    new_id = NewIds(SystemClock(), os.urandom)
    with ThreadPoolExecutor(4) as pool:
        lists = list(pool.map(lambda _: [new_id() for _ in range(2000)], range(4)))
    assert all(made == sorted(made) for made in lists)
    assert len({one for made in lists for one in made}) == 8000
