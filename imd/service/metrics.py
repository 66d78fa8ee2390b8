"""What the process counts of itself, in Prometheus' form (page 5.4).

Counting is on the road of every message, so the rooms only add to plain numbers, and this module
reads them when somebody looks: at ``/metrics``, or on the console. :mod:`imd.service.wiring` says
where to look with :meth:`Metrics.watch`. It refuses to know who may ask.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from imd import __version__
from imd.service.vitals import Vitals

#: upper bounds in seconds; close enough together for a p99 that means something
SECONDS: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25,
    0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
#: upper bounds of the wishes in one transaction
SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """Numbers sorted into bins; added to in the reactor's thread only."""

    __slots__ = ("bins", "bounds", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds, self.sum = bounds, 0.0
        #: how many fell below or on each bound, and at last how many above all
        self.bins = [0] * (len(bounds) + 1)

    def add(self, value: float) -> None:
        self.bins[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.bins)

    def buckets(self) -> list[tuple[str, float]]:
        """Running totals by their bounds, as Prometheus wants them."""
        bounds = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(bounds, (float(n) for n in accumulate(self.bins)), strict=True))


def _nothing() -> int:
    return 0


def _no_waits() -> tuple[int, float]:
    return 0, 0.0


@dataclass(frozen=True, slots=True)
class BusSources:
    """The numbers of a bus to other processes."""

    up: Callable[[], bool]
    sent: Callable[[], int]
    received: Callable[[], int]
    dropped: Callable[[], int]
    swept: Callable[[], int]


class Pushes(Protocol):
    """What the push room knows of itself at the moment of a look."""

    #: by channel and state, and seconds since the oldest row came due
    outbox: Mapping[tuple[str, str], int]
    age: float

    def results(self) -> Mapping[tuple[str, str], int]:
        """How many attempts ended in each code, by channel and code."""


class Overdues(Protocol):
    """How many topics wait too long, as of the last look."""

    number: int


@dataclass(slots=True)
class Sources:
    """Where the numbers of other rooms stand; each is read at the moment of a look."""

    sockets: Mapping[str, int] = field(default_factory=dict)
    recoveries: Mapping[str, int] = field(default_factory=dict)
    #: by close code
    closes: Mapping[int, int] = field(default_factory=dict)
    stored: Callable[[], int] = _nothing
    delivered: Callable[[], int] = _nothing
    database_load: Callable[[], int] = _nothing
    database_waits: Callable[[], tuple[int, float]] = _no_waits
    writer_queue: Callable[[], int] = _nothing
    #: what is pushed; None where nothing is
    pushes: Pushes | None = None
    #: differences between the ledgers by class; empty where nothing compares them
    ledgers: Callable[[], Mapping[str, int]] = dict
    #: topics that wait too long; None where nothing limits that
    overdue: Overdues | None = None
    #: None before the first look
    vitals: Vitals | None = None
    #: None where this is the only process
    bus: BusSources | None = None


class Totals(NamedTuple):
    """The running totals from which figures of the last seconds are made."""

    stored: int
    delivered: int
    requests: tuple[int, ...]
    commits: tuple[int, ...]


class Metrics(Collector):
    """The numbers of one process; ``registry`` holds them and those of Python itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests: dict[tuple[str, int], Histogram] = {}
        self.batches = Histogram(SIZES)
        self.commits = Histogram(SECONDS)
        self.lags = Histogram(SECONDS)
        self.hint_lags = Histogram(SECONDS)
        #: seconds by which the reactor was late when it was last looked at
        self.lag = 0.0
        self.sources = Sources()

    # ---- doors through which the rooms add

    def observe(self, route: str, status: int, seconds: float) -> None:
        """A request was answered; the door of :class:`imd.rest.dispatch.Dispatch`."""
        histogram = self._requests.get((route, status))
        if histogram is None:
            histogram = self._requests[route, status] = Histogram(SECONDS)
        histogram.add(seconds)

    def batched(self, wishes: int, seconds: float) -> None:
        """The grouping writer ended a transaction."""
        self.batches.add(wishes)
        self.commits.add(seconds)

    def late(self, seconds: float) -> None:
        """A timer of the reactor came this much too late."""
        self.lag = seconds
        self.lags.add(seconds)

    def hinted(self, seconds: float) -> None:
        """A bundle of hints had been under way so long."""
        self.hint_lags.add(seconds)

    def watch(self, sources: Sources) -> None:
        """From now on these are read."""
        self.sources = sources

    # ---- looking

    def totals(self) -> Totals:
        """The running totals at this moment."""
        bins = [histogram.bins for histogram in self._requests.values()]
        bins.append([0] * (len(SECONDS) + 1))
        return Totals(
            self.sources.stored(),
            self.sources.delivered(),
            tuple(map(sum, zip(*bins, strict=True))),
            tuple(self.commits.bins),
        )

    def collect(self) -> Iterator[Metric]:
        """The families of ``/metrics``, in the order of page 5.4."""
        yield _labelled_gauge("imd_info", "The version that runs", "version", {__version__: 1})
        yield self._request_family()
        sources = self.sources
        yield _labelled_gauge(
            "imd_sockets", "Logged-in sockets", "client_type", dict(sources.sockets)
        )
        yield _counter("imd_messages_stored", "Messages that this process stored", sources.stored())
        yield _histogram("imd_batch_wishes", "Sends and marks in one transaction", self.batches)
        yield _histogram("imd_commit_seconds", "From queue to durable, a batch", self.commits)
        yield _counter("imd_deliveries", "Messages written to inside sockets", sources.delivered())
        yield _labelled_counter(
            "imd_recoveries",
            "Sessions entered, by what became of after_seq",
            "outcome",
            sources.recoveries,
        )
        closes = {str(code): number for code, number in sources.closes.items()}
        yield _labelled_counter(
            "imd_socket_closes", "Sockets that the server closed", "code", closes
        )
        yield from self._bus_families()
        yield from self._database_families()
        yield GaugeMetricFamily("imd_reactor_lag_seconds", "At the last look", value=self.lag)
        yield _histogram("imd_reactor_lateness_seconds", "Timers that came too late", self.lags)
        yield from self._vital_families()
        if sources.overdue is not None:
            yield GaugeMetricFamily(
                "imd_topics_overdue", "Topics that wait too long", value=sources.overdue.number
            )
        if differences := dict(sources.ledgers()):
            yield _labelled_gauge(
                "imd_reconcile_differences",
                "Open differences to the platform",
                "class",
                differences,
            )
        if sources.pushes is not None:
            yield from _push_families(sources.pushes)

    def _request_family(self) -> Metric:
        family = HistogramMetricFamily(
            "imd_request_seconds", "Requests answered", labels=["route", "status"]
        )
        for (route, status), histogram in self._requests.items():
            family.add_metric([route, str(status)], histogram.buckets(), histogram.sum)
        return family

    def _vital_families(self) -> Iterator[Metric]:
        vitals = self.sources.vitals
        if vitals is None:
            return
        ready = {name: int(good) for name, good in vitals.ready.items()}
        yield _labelled_gauge("imd_ready", "Whether what it needs answers", "check", ready)
        free = vitals.free_bytes()
        if free is not None:
            yield GaugeMetricFamily(
                "imd_state_free_bytes", "Left on the state directory's disk", value=free
            )

    def _bus_families(self) -> Iterator[Metric]:
        bus = self.sources.bus
        if bus is None:
            return
        yield GaugeMetricFamily("imd_bus_up", "Whether hints arrive", value=int(bus.up()))
        yield _histogram(
            "imd_hint_lag_seconds", "Bundles of hints from process to process", self.hint_lags
        )
        yield _counter("imd_hints_sent", "Hints that Redis took", bus.sent())
        yield _counter("imd_hints_received", "Hints of other processes", bus.received())
        yield _counter("imd_hints_dropped", "Hints lost, or not understood", bus.dropped())
        yield _counter("imd_sweeps_found", "Sweeps that found what no hint had told", bus.swept())

    def _database_families(self) -> Iterator[Metric]:
        sources = self.sources
        number, seconds = sources.database_waits()
        yield GaugeMetricFamily(
            "imd_database_queue", "Work that waits or runs", value=sources.database_load()
        )
        yield SummaryMetricFamily(
            "imd_database_wait_seconds", "Waiting for a thread", number, seconds
        )
        yield GaugeMetricFamily(
            "imd_writer_queue", "Wishes that wait for a transaction", value=sources.writer_queue()
        )


def _push_families(pushes: Pushes) -> Iterator[Metric]:
    outbox = GaugeMetricFamily(
        "imd_outbox", "Pushes that wait or are dead", labels=["channel", "state"]
    )
    for labels, number in pushes.outbox.items():
        outbox.add_metric(labels, number)
    yield outbox
    yield GaugeMetricFamily(
        "imd_outbox_oldest_seconds", "Since the oldest row came due", value=pushes.age
    )
    results = CounterMetricFamily(
        "imd_push_results", "Attempts to push, by what came of them", labels=["channel", "code"]
    )
    for labels, number in pushes.results().items():
        results.add_metric(labels, number)
    yield results


def _counter(name: str, said: str, value: float) -> Metric:
    return CounterMetricFamily(name, said, value=value)


def _labelled_counter(name: str, said: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, said, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _labelled_gauge(name: str, said: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, said, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _histogram(name: str, said: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, said, buckets=histogram.buckets(), sum_value=histogram.sum)
