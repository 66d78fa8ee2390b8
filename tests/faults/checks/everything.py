"""All checkers, by the promise that each one is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tests.faults.checks.health import healthy_again, no_fault_of_its_own
from tests.faults.checks.log import durable, once, one_order, stamps_rise
from tests.faults.checks.marks import exact_unread, marks_rise
from tests.faults.checks.privacy import private
from tests.faults.checks.prompt import prompt
from tests.faults.checks.pushes import pushed
from tests.faults.checks.streams import complete
from tests.faults.checks.topics import one_topic
from tests.faults.history import Event
from tests.faults.story import Story, Violation

Checker = Callable[[Story], Iterator[Violation]]

CHECKERS: Final[dict[str, Checker]] = {
    "I1": durable,
    "I2": once,
    "I3": one_order,
    "I4": complete,
    "I5": exact_unread,
    "I6": one_topic,
    "I7": pushed,
    "I8": private,
    "stamps": stamps_rise,
    "marks": marks_rise,
    "prompt": prompt,
    "healthy": healthy_again,
    "errors": no_fault_of_its_own,
}


def judge(events: Iterable[Event]) -> list[Violation]:
    """Every promise that the history shows broken, with a witness each."""
    story = Story(events)
    return [violation for check in CHECKERS.values() for violation in check(story)]
