"""Time, randomness and a store that tests hold in their hands."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from itertools import count
from typing import Any

from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from imd.storage.keys import KeyRow

NOW = 1_800_000_000_000


class HandClock:
    """A clock that moves when it is told to; ms."""

    def __init__(self, now: int = NOW) -> None:
        self.time = now

    def now(self) -> int:
        return self.time


def counted_entropy():
    """Bytes that look random, differ at each call and are the same in each run."""
    numbers = count()

    def entropy(size: int) -> bytes:
        return hashlib.shake_128(str(next(numbers)).encode()).digest(size)

    return entropy


class FakeKeys:
    """What ``tx.keys`` does, in memory; a transaction with such keys too."""

    def __init__(self) -> None:
        self.rows: dict[str, KeyRow] = {}
        self.revoked: dict[str, int] = {}

    @property
    def keys(self) -> FakeKeys:
        return self

    def all(self) -> list[KeyRow]:
        return list(self.rows.values())

    def add(self, name: str, digest: str, scopes: frozenset[str], now: int) -> bool:
        if name in self.rows:
            return False
        self.rows[name] = KeyRow(name, digest, scopes, now)
        return True

    def revoke(self, name: str, now: int) -> bool:
        return self.rows.pop(name, None) is not None

    def revoked_tokens(self, now: int) -> Collection[str]:
        return {one for one, end in self.revoked.items() if end > now}

    def purge_tokens(self, now: int) -> None:
        self.revoked = {one: end for one, end in self.revoked.items() if end > now}


@implementer(ILogObserver)
class Recorded:
    """The log events of a block."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    def __enter__(self) -> list[dict[str, Any]]:
        globalLogPublisher.addObserver(self)
        return self.events

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self)
