"""The schedule is the same for the same seed, leaves nothing out, and pairs what can be paired."""

from __future__ import annotations

from tests.faults.catalogue import FAULTS
from tests.faults.schedule import plan

NAMES = sorted(FAULTS)


def test_a_seed_is_a_schedule() -> None:
    assert plan(7, 60, NAMES) == plan(7, 60, NAMES)
    assert plan(7, 60, NAMES) != plan(8, 60, NAMES)


def test_every_fault_comes_up_before_any_comes_again() -> None:
    steps = plan(1, 10_000, NAMES, pairs=0)
    first = [name for step in steps[: len(NAMES)] for name, _ in step.faults]
    assert sorted(first) == NAMES


def test_a_pair_hurts_two_parts() -> None:
    steps = plan(1, 2_000, NAMES, pairs=1)
    for step in steps:
        parts = [FAULTS[name].part for name, _ in step.faults]
        assert len(set(parts)) == len(parts) == 2


def test_no_faults_are_no_steps() -> None:
    assert plan(1, 60, []) == []
