"""Page 3.3: a notice for each counted message, once, whatever came first, twice or never."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imd.delivery.notices import Event
from imd.delivery.spans import Spans

S = "s"


def run(seq: int, first: int | None = None, since: int = 0) -> Event:
    return Event(S, seq=seq, first=first or seq, since=since)


def tell(spans: Spans, event: Event) -> list[int]:
    seqs = [seq for seq, _ in spans.due(event)]
    for seq in seqs:
        spans.told(S, seq)
    return seqs


def test_a_gap_is_filled_before_what_came_too_early() -> None:
    spans = Spans()
    assert [tell(spans, run(seq)) for seq in (5, 8, 6, 7, 9)] == [[5], [6, 7, 8], [], [], [9]]


def test_what_was_said_before_the_first_event_comes_late_and_once() -> None:
    spans = Spans()
    assert [tell(spans, run(5)), tell(spans, run(4, 3)), tell(spans, run(4, 3))] == [
        [5],
        [3, 4],
        [],
    ]


def test_only_what_cannot_be_a_gap_must_be_young() -> None:
    spans = Spans()
    assert spans.due(run(5, since=9)) == [(5, 9)]
    spans.told(S, 5)
    assert spans.due(run(7, since=9)) == [(6, 0), (7, 0)]
    assert spans.due(run(3, since=9)) == [(3, 9), (4, 9)]


def test_a_promise_of_what_does_not_exist_hides_nothing() -> None:
    spans = Spans()
    tell(spans, run(5))
    assert len(spans.due(run(10**12, 1))) <= 2000
    assert tell(spans, run(6)) == [6]


def test_what_must_be_read_is_what_is_not_here() -> None:
    spans = Spans()
    tell(spans, run(5))
    assert spans.missing([run(9)], 50) == [(S, 5)]
    assert spans.missing([run(5)], 50) == []
    assert spans.missing([run(1000)], 50) == [(S, 950)]
    spans.forget(S)
    assert spans.missing([run(9)], 50) == [(S, 8)]


@given(st.permutations(list(range(1, 21))), st.lists(st.integers(1, 20)))
def test_each_is_told_once_in_any_order(order: list[int], again: list[int]) -> None:
    spans, seen = Spans(), list[int]()
    for seq in [*order, *again]:
        seen += tell(spans, run(seq))
    assert sorted(seen) == list(range(1, 21))
    above = [seq for seq in seen if seq >= order[0]]
    assert above == sorted(above), "from the first on, in order"
