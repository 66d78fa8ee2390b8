"""When which faults happen: drawn from a seed, the same every time.

Singly and in pairs, with a little peace between them, so that a history shows what came of which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any, NamedTuple

from tests.faults.catalogue import FAULTS
from tests.faults.history import History
from tests.faults.world import World

#: seconds that a fault lasts, and of peace before the next
SHORTEST, LONGEST = 0.4, 3.0
LEAST_PEACE, MOST_PEACE = 0.4, 1.6


class Step(NamedTuple):
    """Faults at one time: after ``peace`` seconds, each for its own length."""

    peace: float
    faults: tuple[tuple[str, float], ...]


def plan(
    seed: object,
    seconds: float,
    names: Sequence[str],
    pairs: float = 0.5,
    longest: float = LONGEST,
) -> list[Step]:
    """Steps for about ``seconds``; ``pairs`` is the part of steps that hold two faults.

    Every name comes up once before any comes up again.
    """
    random, steps, left, total = Random(f"{seed} schedule"), [], list[str](), 0.0
    while total < seconds and names:
        if not left:
            left = list(names)
            random.shuffle(left)
        first = left.pop()
        chosen = [first]
        others = [name for name in names if FAULTS[name].part != FAULTS[first].part]
        if others and random.random() < pairs:
            chosen.append(random.choice(others))
        least = max(SHORTEST, longest / 8)
        faults = tuple((name, round(random.uniform(least, longest), 2)) for name in chosen)
        step = Step(round(random.uniform(LEAST_PEACE, MOST_PEACE), 2), faults)
        steps.append(step)
        total += step.peace + max(length for _, length in faults)
    return steps


async def perform(world: World, history: History, seed: object, steps: Sequence[Step]) -> None:
    """Let the steps happen, one after another; each leaves the world as it was."""
    for number, step in enumerate(steps):
        await asyncio.sleep(step.peace)
        together: list[Any] = [
            _happen(world, history, Random(f"{seed} {number} {name}"), name, length)
            for name, length in step.faults
        ]
        await asyncio.gather(*together)


async def _happen(world: World, history: History, random: Random, name: str, length: float) -> None:
    history.add("fault", name=name, phase="begin", length=length)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(FAULTS[name].begin(world, random))
        await asyncio.sleep(length)
    history.add("fault", name=name, phase="end")
