"""The table's arithmetic: ratios by round, their median and spread, and what they are held to."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import document, measured, profile, soak, targets
from bench.entries import QUICK, Figures, Scale
from bench.plot import place, plot, share
from bench.report import Goal, Row, markdown_rows, medians, table
from bench.targets import FLOORS, TARGETS, Comparison

MOST = Goal("<=", 0.3, 0.15)


def row(values: list[float], floors: list[float] | None, goal: Goal | None = MOST) -> Row:
    return Row("what", values, floors, "s/1000", goal)


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    # The machine was twice as slow in the second round, for both: the ratio does not notice.
    made = row([1.0, 2.0, 1.2], [10.0, 20.0, 10.0])
    assert made.ratios == pytest.approx([0.1, 0.1, 0.12])
    assert made.ratio == pytest.approx(0.1)
    assert made.spread == pytest.approx((0.1, 0.12))


def test_what_was_measured_less_often_is_compared_by_its_median() -> None:
    assert row([1.0, 2.0], [3.0, 5.0, 4.0]).ratios == [0.25, 0.5]


def test_nothing_against_nothing_is_no_growth() -> None:
    assert row([0.0], [0.0]).ratio == 1.0
    assert row([1.0], [0.0]).ratio == float("inf")


@pytest.mark.parametrize(
    ("value", "goal", "verdict"),
    [
        (0.31, MOST, "missed"),
        (0.30, MOST, "met"),
        (0.15, MOST, "stretch"),
        (2.4, Goal(">=", 2.5, 5), "missed"),
        (2.5, Goal(">=", 2.5, 5), "met"),
        (5.0, Goal(">=", 2.5, 5), "stretch"),
        (0.0, Goal("<=", 0, None), "met"),
        (1.0, Goal("<=", 0, None), "missed"),
        (1.0, None, ""),
    ],
)
def test_a_ratio_is_held_to_target_and_stretch(
    value: float, goal: Goal | None, verdict: str
) -> None:
    assert row([value], [1.0], goal).verdict == verdict
    assert row([value], None, goal).verdict == verdict


def test_a_row_tells_json_what_came_of_it() -> None:
    told = json.loads(json.dumps(row([1.0, 2.0], [4.0, 4.0]).told()))
    assert told["ratio"] == 0.375
    assert told["spread"] == [0.25, 0.5]
    assert told["verdict"] == "missed"
    assert told["goal"] == {"sign": "<=", "target": 0.3, "stretch": 0.15}


def test_the_tables_say_all_of_a_row() -> None:
    text = table([row([0.1, 0.2, 0.3], [1.0, 1.0, 1.0])])
    for word in ("0.200", "1.00", "s/1000", "0.100 – 0.300", "≤ 0.3", "≤ 0.15", "met"):
        assert word in text
    assert markdown_rows([row([0.2], [1.0])]).count("\n") == 2


def test_medians_are_of_each_figure_apart() -> None:
    rounds: dict[str, list[Figures]] = {"a": [{"x": 1, "y": 9}, {"x": 3, "y": 1}, {"x": 2, "y": 5}]}
    assert medians({**rounds, "empty": []}) == {"a": {"x": 2, "y": 5}}


def test_an_entry_that_was_left_out_leaves_its_rows_out() -> None:
    wanted = [
        Comparison("both", "imd rest", "node", "total", "s/1000", MOST),
        Comparison("alone", "imd rest", None, "total", "s/1000", MOST),
        Comparison("gone", "imd rest", "synapse", "total", "s/1000", MOST),
    ]
    rounds: dict[str, list[Figures]] = {"imd rest": [{"total": 1.0}], "node": [{"total": 4.0}]}
    assert [(one.what, one.ratio) for one in targets.rows(rounds, wanted)] == [
        ("both", 0.25), ("alone", 1.0),
    ]  # fmt: skip


def test_a_single_fault_in_a_single_round_of_ours_misses_the_target() -> None:
    clean: Figures = {"lost": 0, "duplicated": 0, "reordered": 0}
    rounds: dict[str, list[Figures]] = {"imd rest": [clean, clean], "echo": [{"app": 1.0}]}
    assert [one.verdict for one in targets.faults(rounds)] == ["met"]
    for fault in clean:
        for ours in ("imd socket", "workers 4", "fan-out imd", "soak", "waiting"):
            assert [
                one.verdict for one in targets.faults({**rounds, ours: [clean | {fault: 1}]})
            ] == ["missed"]
    # What a peer loses is the peer's.
    assert [one.verdict for one in targets.faults({**rounds, "node": [clean | {"lost": 1}]})] == [
        "met"
    ]
    assert targets.faults({"echo": [{"app": 1.0}]}) == []


def test_every_target_has_its_stretch_on_the_right_side() -> None:
    for comparison in (*TARGETS, *FLOORS):
        goal = comparison.goal
        if goal is not None and goal.stretch is not None:
            assert goal.reached(goal.stretch, goal.target), comparison.what
    names = [comparison.what for comparison in (*TARGETS, *FLOORS)]
    assert len(set(names)) == len(names)


def test_the_picture_has_each_row_with_a_target_and_is_xml() -> None:
    rows = [row([0.1, 0.2], [1.0, 1.0]), row([1.0], [1.0], None), row([0.0], None)]
    root = ElementTree.fromstring(plot(rows, "a < b"))
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 2


def test_left_of_the_line_is_better_whichever_way_is_better() -> None:
    assert share(row([0.15], None), 0.15) == 0.5
    assert share(row([5.0], None, Goal(">=", 2.5, None)), 5.0) == 0.5
    assert place(0.5) < place(1.0) < place(2.0)
    assert place(0.0001) == place(1 / 16)
    assert place(float("inf")) == place(4)


def test_a_slope_is_that_of_the_line() -> None:
    assert measured.slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert measured.slope([(0, 2), (1, 1), (2, 2)]) == pytest.approx(0)


def look(minute: float, mib: float, files: float = 10) -> Figures:
    counted = dict.fromkeys(soak.COUNTED, 5.0) | {"files": files}
    return {"minute": minute, "mib": mib, "lost": 0, "duplicated": 0, "reordered": 0, **counted}


def test_the_soak_sees_memory_and_files_grow_but_not_the_warming_up() -> None:
    steady = [look(n, 50 + (min(10, n))) for n in range(30)]
    assert soak.growth(steady)["mib_per_10_min"] == pytest.approx(0)
    assert soak.growth(steady)["grown"] == 0
    leaking = [look(n, 50 + 0.3 * n, files=10 + n) for n in range(30)]
    assert soak.growth(leaking)["mib_per_10_min"] == pytest.approx(3)
    assert soak.growth(leaking)["grown"] == 20


def test_the_document_takes_the_tables_between_their_comments() -> None:
    page = "a\n<!-- targets -->\nold\n<!-- /targets -->\nb\n"
    once = document.written_into(page, {"targets": "new \\1", "flat": "nowhere"})
    assert once == "a\n<!-- targets -->\nnew \\1\n<!-- /targets -->\nb\n"
    assert document.written_into(once, {"targets": "new \\1"}) == once


def test_the_quick_scale_is_smaller_in_everything() -> None:
    assert all(small < usual for small, usual in zip(QUICK, Scale(), strict=True))


def test_a_look_counts_for_the_nearest_function_of_imd_on_the_reactors_thread() -> None:
    lines = [
        "thread (1): MainThread;run (twisted/internet/base.py:9);answer (imd/rest/dispatch.py:7);"
        "callLater (twisted/internet/base.py:3) 3",
        "thread (1): MainThread;run (twisted/internet/base.py:9);answer (imd/rest/dispatch.py:8) 1",
        "thread (1): MainThread;run (twisted/internet/base.py:9);doRead (internet/tcp.py:1) 4",
        "thread (1): MainThread;run (twisted/internet/base.py:9);doPoll (internet/epoll.py:1) 90",
        "thread (2): imd-writer-0;work (imd/storage/writer.py:1) 50",
    ]
    found = profile.attributed(lines)
    answer = profile.Place("answer", "imd/rest/dispatch.py")
    assert found == {answer: {"callLater": 3, "answer": 1}, profile.OUTSIDE: {"doRead": 4}}
    text = profile.table(found, 80.0)
    assert "40.0 us  answer imd/rest/dispatch.py  (callLater 30.0, answer 10.0)" in text


def result(name: str, total: float) -> dict[str, Any]:
    figures = {
        "per_second": 1.0, "app": total, "db": 0.0, "total": total, "mib": 1.0,
        "lost": 0, "duplicated": 0, "reordered": 0,
    }  # fmt: skip
    return {
        "conditions": {
            "when": "now", "cores": 2, "python": "3", "load": [1, 1, 1], "load after": [2, 2, 2],
            "scale": {"rounds": 1, "seconds": 1.0},
        },
        "sections": [name], "postgres": "18", "left_out": ["somebody"], "pages": {},
        "rounds": {name: [figures]}, "lists": {},
    }  # fmt: skip


def test_of_several_results_each_adds_and_a_later_one_replaces() -> None:
    results = [result("node", 8.0), result("imd rest", 4.0), result("imd rest", 2.0)]
    made = document.sections(results)
    (line,) = [line for line in made["targets"].splitlines() if "64 pairs: CPU" in line]
    assert "| 0.250 |" in line
    assert made["conditions"].count("Left out: somebody.") == 3
    assert "flat" not in made
