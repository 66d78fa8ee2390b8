"""Counting and what is made of it: bins, the last seconds, percentiles (page 5.4)."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from imd.service.figures import SPAN, TICK, Figures, quantile
from imd.service.metrics import SECONDS, BusSources, Histogram, Metrics, Sources


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    text = generate_latest(metrics.registry).decode()
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return one.value
    return None


def test_a_value_on_a_bound_belongs_to_it():
    histogram = Histogram((1, 2, 4))
    for value in (0.5, 1, 1.5, 4, 5):
        histogram.add(value)
    assert histogram.buckets() == [("1.0", 2), ("2.0", 3), ("4.0", 4), ("+Inf", 5)]
    assert histogram.sum == 12 and histogram.count == 5


def test_requests_are_told_by_route_and_status():
    metrics = Metrics()
    metrics.observe("post_message", 201, 0.004)
    metrics.observe("post_message", 201, 0.006)
    metrics.observe("post_message", 403, 0.001)
    count = "imd_request_seconds_count"
    assert sample(metrics, count, route="post_message", status="201") == 2
    assert sample(metrics, count, route="post_message", status="403") == 1
    assert sample(metrics, "imd_request_seconds_bucket", status="201", le="0.005") == 1


class Pushed:
    """What a push room might say of itself."""

    outbox = {("wechat", "pending"): 4, ("wechat", "dead"): 1}
    age = 2.5

    def results(self):
        return {("wechat", "45009"): 3}


def test_other_rooms_numbers_are_read_when_somebody_looks():
    metrics, sockets, stored = Metrics(), {"doctor": 2, "patient": 0}, [3]
    metrics.watch(
        Sources(
            sockets=sockets, recoveries={"recovered": 4}, closes={4408: 2},
            stored=lambda: stored[0], database_waits=lambda: (2, 0.5), pushes=Pushed(),
        )
    )  # fmt: skip
    stored[0] = 7
    assert sample(metrics, "imd_messages_stored_total") == 7
    assert sample(metrics, "imd_sockets", client_type="doctor") == 2
    assert sample(metrics, "imd_recoveries_total", outcome="recovered") == 4
    assert sample(metrics, "imd_socket_closes_total", code="4408") == 2
    assert sample(metrics, "imd_database_wait_seconds_sum") == 0.5
    assert sample(metrics, "imd_outbox", channel="wechat", state="dead") == 1
    assert sample(metrics, "imd_outbox_oldest_seconds") == 2.5
    assert sample(metrics, "imd_push_results_total", channel="wechat", code="45009") == 3
    assert Figures(metrics, Clock()).now()["push"] == {
        "total": 4, "by_state": {"pending": 4, "dead": 1},
    }  # fmt: skip


def test_a_bus_is_told_of_where_there_is_one():
    metrics = Metrics()
    assert sample(metrics, "imd_bus_up") is None
    metrics.sources.bus = BusSources(
        up=lambda: True, sent=lambda: 3, received=lambda: 4, dropped=lambda: 5, swept=lambda: 6
    )
    metrics.hinted(0.0015)
    assert sample(metrics, "imd_bus_up") == 1
    assert sample(metrics, "imd_hint_lag_seconds_count") == 1
    for name, number in (("hints_sent", 3), ("hints_received", 4), ("hints_dropped", 5)):
        assert sample(metrics, f"imd_{name}_total") == number
    assert sample(metrics, "imd_sweeps_found_total") == 6


def test_a_percentile_lies_on_a_line_in_its_bin():
    bins = [0] * (len(SECONDS) + 1)
    assert quantile(bins, 0.99) is None
    bins[0] = 100  # up to 1 ms
    assert quantile(bins, 0.5) == 0.5
    bins[1] = 100  # up to 2 ms
    assert quantile(bins, 0.75) == 1.5
    bins[-1] = 1000
    assert quantile(bins, 0.99) == SECONDS[-1] * 1000


def test_rates_are_of_the_last_seconds():
    metrics, clock, stored = Metrics(), Clock(), [0]
    metrics.watch(Sources(stored=lambda: stored[0]))
    figures = Figures(metrics, clock)
    for _ in range(SPAN):
        stored[0] += 5
        clock.advance(TICK)
        figures.tick()
    assert figures.now()["messages"]["per_second"] == 5.0
    assert figures.now()["messages"]["history"] == [5] * SPAN
    for _ in range(SPAN):
        clock.advance(TICK)
        figures.tick()
    assert figures.now()["messages"]["per_second"] == 0
    assert figures.now()["push"] is None


def test_a_reactor_that_was_held_up_is_seen():
    metrics, clock = Metrics(), Clock()
    figures = Figures(metrics, clock)
    clock.advance(TICK + 0.5)
    figures.tick()
    assert figures.now()["reactor_lag_ms"] == 500.0
    assert sample(metrics, "imd_reactor_lag_seconds") == 0.5
