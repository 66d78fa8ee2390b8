"""Page 2.7: token buckets; the time is handed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.rates import Rate


def test_ten_a_second_with_a_burst_of_twenty() -> None:
    rate = Rate(10, 20)
    assert [rate.take("a", 0) for _ in range(20)] == [0.0] * 20
    assert rate.take("a", 0) == pytest.approx(0.1)
    assert rate.take("a", 99) > 0
    assert rate.take("a", 100) == 0.0
    assert rate.take("a", 100) > 0


def test_names_do_not_share_a_bucket() -> None:
    rate = Rate(1, 1)
    assert rate.take("a", 0) == 0.0
    assert rate.take("b", 0) == 0.0
    assert rate.take("a", 0) > 0


def test_zero_means_no_limit() -> None:
    rate = Rate(0, 0)
    assert {rate.take("a", 0) for _ in range(1000)} == {0.0}
    assert rate.wait("a", 0) == 0.0


def test_looking_takes_nothing() -> None:
    rate = Rate(1, 2)
    for _ in range(5):
        assert rate.wait("a", 0) == 0.0
    assert rate.take("a", 0) == rate.take("a", 0) == 0.0
    assert rate.wait("a", 0) == rate.take("a", 0) == 1.0


def test_the_wait_is_how_long_to_wait() -> None:
    rate = Rate(5 / 60, 5)
    for _ in range(5):
        rate.take("a", 0)
    wait = rate.take("a", 0)
    assert wait == pytest.approx(12)
    assert rate.take("a", int(wait * 1000) - 1) > 0
    assert rate.take("a", int(wait * 1000) + 1) == 0.0


def test_memory_is_bounded_by_the_active_and_by_most() -> None:
    rate = Rate(10, 20, most=50)
    for n in range(1000):
        rate.take(f"n{n}", n)
    assert len(rate._buckets) == 50
    rate.take("late", 1_000_000)
    assert list(rate._buckets) == ["late"]


steps = st.lists(st.integers(0, 500), min_size=1, max_size=200)


@given(st.integers(1, 20), st.integers(1, 30), steps)
def test_never_more_than_the_burst_and_what_has_flowed_in(per_second, burst, pauses) -> None:
    rate, now, taken = Rate(per_second, burst), 0, 0
    for pause in pauses:
        now += pause
        taken += rate.take("a", now) == 0.0
        assert taken <= burst + now / 1000 * per_second + 1e-6


@given(st.integers(1, 20), st.integers(1, 30), steps)
def test_who_stays_within_the_rate_is_never_refused(per_second, burst, pauses) -> None:
    rate, now = Rate(per_second, burst), 0
    for pause in pauses:
        now += max(pause, -(-1000 // per_second))
        assert rate.take("a", now) == 0.0


@given(steps, st.integers(1, 10**7))
def test_a_clock_that_goes_back_gives_nothing_and_raises_nothing(pauses, back) -> None:
    rate = Rate(1, 3)
    for _ in range(3):
        rate.take("a", back)
    for pause in pauses:
        assert rate.take("a", max(0, back - pause)) > 0


def test_a_long_pause_saves_up_one_burst_and_no_more() -> None:
    rate = Rate(10, 20)
    assert rate.take("u", 10**7) == 0
    later = 10**7 + 3_600_000
    assert [rate.take("u", later) for _ in range(20)] == [0.0] * 20
    assert rate.take("u", later) == pytest.approx(0.1)


def test_a_clock_that_steps_back_takes_nothing_away() -> None:
    rate = Rate(10, 20)
    assert rate.take("u", 10**7) == 0
    assert [rate.take("u", 10**7 - 60_000) for _ in range(19)] == [0.0] * 19
    assert rate.take("u", 10**7 - 60_000) > 0
