"""Figures of several processes made one: added up, or the worst, or with a label (page 5.4)."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from imd.service.figures import Figures, shown
from imd.service.metrics import BusSources, Metrics, Sources
from imd.service.standing import Gathered
from imd.service.sums import added, told, written


def process(stored: int, lag: float = 0.0, bus: bool = True) -> Metrics:
    metrics = Metrics()
    metrics.observe("post_message", 201, 0.004)
    metrics.lag = lag
    up = BusSources(
        up=lambda: bus, sent=lambda: 1, received=lambda: 1, dropped=lambda: 0, swept=lambda: 0
    )
    metrics.watch(Sources(sockets={"doctor": 2}, stored=lambda: stored, bus=up))
    return metrics


def families(metrics: Metrics) -> Any:
    """What goes through the pipe, and comes out of it."""
    return json.loads(json.dumps(told(metrics.registry.collect())))


def values(gathered: Gathered) -> dict[tuple[str, ...], float]:
    text = written(gathered).decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_histograms_and_gauges_are_added_up():
    all_ = values(Gathered([(1, families(process(3))), (2, families(process(4)))]))
    assert all_["imd_messages_stored_total",] == 7
    assert all_["imd_sockets", "doctor"] == 4
    assert all_["imd_request_seconds_count", "201", "post_message"] == 2
    assert all_["imd_request_seconds_bucket", "0.005", "201", "post_message"] == 2
    assert all_["imd_hints_sent_total",] == 2


def test_what_cannot_be_added_is_the_worst():
    one, other = process(1, lag=0.5, bus=False), process(1, lag=0.1)
    one.sources.ledgers = lambda: {"fields_differ": 3}
    other.sources.ledgers = lambda: {"fields_differ": 3, "missing_in_imd": 1}
    all_ = values(Gathered([(1, families(one)), (2, families(other))]))
    assert all_["imd_reactor_lag_seconds",] == 0.5
    assert all_["imd_bus_up",] == 0
    # each tells what one of them found for all
    assert all_["imd_reconcile_differences", "fields_differ"] == 3
    assert all_["imd_reconcile_differences", "missing_in_imd"] == 1
    assert [value for key, value in all_.items() if key[0] == "imd_info"] == [1]


def test_a_process_s_own_figures_carry_its_number():
    all_ = values(Gathered([(1, families(process(1))), (2, families(process(1)))]))
    assert ("process_resident_memory_bytes", "1") in all_
    assert ("process_resident_memory_bytes", "2") in all_


def test_one_process_is_told_as_it_is():
    all_ = values(Gathered([(None, families(process(3)))]))
    assert all_["imd_messages_stored_total",] == 3
    assert ("process_resident_memory_bytes",) in all_
    assert ("imd_workers",) not in all_


def test_what_the_dead_had_counted_stays():
    gathered = Gathered(
        [(1, families(process(3)))],
        past=families(process(4)),
        crew={"serving": 1, "wanted": 2, "restarts": 5},
    )
    all_ = values(gathered)
    assert all_["imd_messages_stored_total",] == 7
    assert all_["imd_sockets", "doctor"] == 2
    assert all_["imd_workers",] == 1 and all_["imd_workers_wanted",] == 2
    assert all_["imd_worker_restarts_total",] == 5


def test_tables_lists_and_numbers_are_added_place_by_place():
    assert added({"a": 1, "b": [1, 2, 3]}, {"b": [10, 20], "c": None}) == {
        "a": 1,
        "b": [1, 12, 23],
        "c": None,
    }


def test_live_figures_of_all():
    clock = Clock()
    looks = []
    for stored, lag in ((3, 0.2), (4, 0.1)):
        figures = Figures(process(stored, lag), clock)
        clock.advance(1)
        figures.tick()
        looks.append(json.loads(json.dumps(figures.look())))
    all_ = shown(looks)
    assert all_["messages"]["stored"] == 7
    assert all_["sockets"] == {"total": 4, "by_type": {"doctor": 4}}
    assert all_["requests"]["p50_ms"] is None
    assert all_["uptime"] == 1 and all_["push"] is None
