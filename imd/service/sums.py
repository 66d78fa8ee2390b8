"""The figures of several processes as those of one server (page 5.4).

A process tells its metric families as plain lists (:func:`told`), which go through a pipe; here
they become one again: counters, histograms and most gauges are added up, what cannot be added is
the worst of all, and what is a process's own carries a label ``worker``. It refuses to know who
asks and how the lists travelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from imd.service.standing import Gathered

#: what these families are called among processes
METRICS: Final = "metrics"
#: name, what it says, type, samples as name, labels, value
Family = Sequence[Any]

#: gauges and infos that are the same, or one bad one counts, wherever they are looked at
_WORST: Final = (
    "imd_info", "imd_reactor_lag_seconds", "imd_outbox", "imd_reconcile",
    "imd_topics_overdue", "imd_state_free_bytes",
)  # fmt: skip
_LEAST: Final = ("imd_bus_up", "imd_ready")
#: what is the process's and not the server's
_OWN: Final = ("process_", "python_")
_SUMMED: Final = frozenset({"counter", "histogram", "summary"})


def told(families: Iterable[Metric]) -> list[Family]:
    """Metric families as plain values, without the moment at which something was made."""
    return [
        [
            family.name,
            family.documentation,
            family.type,
            [
                [sample.name, sample.labels, sample.value]
                for sample in family.samples
                if not sample.name.endswith("_created")
            ],
        ]
        for family in families
    ]


class Together(Collector):
    """The families of several processes; ``add`` them, then let Prometheus' writer collect."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[str, str]] = {}
        self._values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}

    def add(self, families: Iterable[Family], worker: int | None = None) -> None:
        """Put in what one process told; its own figures get its number as a label."""
        for name, said, kind, samples in families:
            self._families.setdefault(name, (said, kind))
            values = self._values.setdefault(name, {})
            for sample, labels, value in samples:
                named = dict(labels)
                if worker is not None and name.startswith(_OWN):
                    named["worker"] = str(worker)
                key = (sample, tuple(sorted(named.items())))
                if name.startswith(_OWN):
                    values[key] = value
                elif name in _LEAST:
                    values[key] = min(value, values.get(key, value))
                elif kind not in _SUMMED and name.startswith(_WORST):
                    values[key] = max(value, values.get(key, value))
                else:
                    values[key] = values.get(key, 0.0) + value

    def add_lasting(self, families: Iterable[Family]) -> None:
        """Put in what a process had told before it ended: what it had counted stays counted."""
        self.add(f for f in families if f[2] in _SUMMED and not f[0].startswith(_OWN))

    def collect(self) -> Iterator[Metric]:
        for name, (said, kind) in self._families.items():
            family = Metric(name, said, kind)
            family.samples = [
                Sample(sample, dict(labels), value)
                for (sample, labels), value in self._values[name].items()
            ]
            yield family


def written(gathered: Gathered) -> bytes:
    """The families of all processes in Prometheus' text form."""
    together = Together()
    for number, families in gathered.found:
        together.add(families, number)
    together.add_lasting(gathered.past)
    if gathered.crew is not None:
        together.add(crew_families(gathered.crew))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(together)
    return generate_latest(registry)


def crew_families(crew: Mapping[str, int]) -> list[Family]:
    """How many workers serve and should, and how often one was started again."""
    serving, wanted = "imd_workers", "imd_workers_wanted"
    restarts = "imd_worker_restarts"
    return [
        [serving, "Workers that serve", "gauge", [[serving, {}, crew["serving"]]]],
        [wanted, "Workers that should serve", "gauge", [[wanted, {}, crew["wanted"]]]],
        [restarts, "Workers started again because one had died", "counter",
         [[f"{restarts}_total", {}, crew["restarts"]]]],
    ]  # fmt: skip


def added(one: Any, other: Any) -> Any:
    """Numbers, or lists and tables of them, added up place by place; None counts as nothing.

    Lists are histories whose newest is the last.
    """
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Mapping):
        return {name: added(one.get(name), other.get(name)) for name in {**one, **other}}
    if isinstance(one, list):
        longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
        kept = len(longer) - len(shorter)
        return [*longer[:kept], *map(added, longer[kept:], shorter)]
    return one + other
