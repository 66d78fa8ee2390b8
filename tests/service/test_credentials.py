"""Who stands at the door: tokens, service keys, and what other processes did (page 2.1)."""

from __future__ import annotations

import time

import pytest
from twisted.internet.defer import Deferred, succeed

from imd.domain.caller import ADMIN, READ, WRITE
from imd.domain.errors import Unauthenticated
from imd.service.credentials import (
    Credentials,
    Snapshot,
    digest_of,
    new_key,
    purge,
    read_snapshot,
)
from imd.service.tokens import Tokens, fingerprint
from tests.service.fakes import NOW, FakeKeys, HandClock, counted_entropy
from tests.service.signing import SECRET, claiming, token


class Door:
    """Credentials over keys in memory."""

    def __init__(self) -> None:
        self.clock, self.store = HandClock(), FakeKeys()
        self.entropy = counted_entropy()
        self.told: list[str] = []
        tokens = Tokens(clock=self.clock, entropy=self.entropy, secret=SECRET)
        self.credentials = Credentials(
            tokens,
            lambda: succeed(read_snapshot(self.store, self.clock.now())),
            on_revoked=self.told.append,
        )

    def refresh(self) -> None:
        done: list[object] = []
        Deferred.fromCoroutine(self.credentials.refresh()).addBoth(done.append)
        assert done == [None]

    def add(self, name: str, *scopes: str) -> str:
        key = new_key(self.entropy)
        assert self.store.add(name, digest_of(key), frozenset(scopes), NOW)
        self.refresh()
        return key


@pytest.fixture
def door() -> Door:
    return Door()


def refused(door: Door, credential: str) -> bool:
    try:
        door.credentials.identify(credential)
    except Unauthenticated as error:
        assert error.detail == Unauthenticated.sentence
        return True
    return False


def test_a_key_has_the_scopes_that_its_own_include(door):
    for scopes, granted in (
        ({READ}, {READ}),
        ({WRITE}, {READ, WRITE}),
        ({ADMIN}, {READ, WRITE, ADMIN}),
        ({READ, "metrics"}, {READ, "metrics"}),
        ({"metrics"}, {"metrics"}),
    ):
        name = "+".join(sorted(scopes))
        caller = door.credentials.identify(door.add(name, *scopes))
        assert caller.is_service and caller.name == name and caller.scopes == granted
        assert caller.fingerprint is None and caller.expires_at is None


def test_a_new_key_is_256_random_bits_and_stored_as_a_digest(door):
    key = door.add("his", READ)
    assert len(key) == 47 and key.startswith("imd_")
    (row,) = door.store.all()
    assert key not in repr(row) and len(row.digest) == 64
    assert new_key(door.entropy) != key


def test_other_keys_are_refused(door):
    key = door.add("his", READ)
    for other in (
        new_key(door.entropy),
        key[:-1],
        key + "A",
        key + "\n",
        " " + key,
        key.upper(),
        key.removeprefix("imd_"),
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key[:20] + "\ud800" + key[21:],
        "imd_",
        "imd_" + "é" * 43,
        "imd_" + "x" * 1_000_000,
        digest_of(key),
        "imd_" + digest_of(key),
        f"{key}.a.b",
        "",
    ):
        assert refused(door, other), other[:60]


def test_a_key_made_and_revoked_elsewhere_counts_after_the_next_look(door):
    key = new_key(door.entropy)
    door.store.add("his", digest_of(key), frozenset({READ}), NOW)
    assert refused(door, key)
    door.refresh()
    assert not refused(door, key)
    door.store.revoke("his", NOW)
    assert not refused(door, key)
    door.refresh()
    assert refused(door, key)


def test_a_revocation_counts_here_at_once_and_survives_an_older_look(door):
    good = token()
    assert not refused(door, good)
    door.credentials.revoke(fingerprint(good))
    assert refused(door, good)
    door.refresh()  # the store does not know it yet
    assert refused(door, good)
    assert not refused(door, claiming(jti="another"))
    door.store.revoked[fingerprint(good)] = NOW + 1000
    door.refresh()
    assert refused(door, good)
    assert door.told == []


def test_a_revocation_elsewhere_counts_after_the_next_look_and_is_told_once(door):
    good = token()
    assert not refused(door, good)
    door.store.revoked[fingerprint(good)] = NOW + 1000
    door.refresh()
    door.refresh()
    assert refused(door, good)
    assert door.told == [fingerprint(good)]


def test_a_local_revocation_is_forgotten_once_the_store_forgets_it(door):
    good = token()
    door.credentials.revoke(fingerprint(good))
    door.store.revoked[fingerprint(good)] = NOW + 1000
    door.refresh()
    door.clock.time += 2000
    purge(door.store, door.clock.now())
    assert door.store.revoked == {}
    door.refresh()
    assert door.credentials._revoked == set()


def test_a_failing_look_leaves_the_former_knowledge(door):
    key = door.add("his", READ)

    def fail() -> Deferred[Snapshot]:
        raise ConnectionError

    door.credentials._load = fail
    failed: list[object] = []
    Deferred.fromCoroutine(door.credentials.refresh()).addErrback(failed.append)
    assert failed and not refused(door, key)


def test_issue_and_trusted(door):
    text, end = door.credentials.issue("D1", "doctor", NOW)
    assert door.credentials.identify(text).user_id == "D1" and end == NOW + 7_200_000
    assert door.credentials.trusted is False


def test_a_remembered_token_costs_microseconds(door):
    good, key = token(), door.add("his", READ)
    for credential, most in ((good, 50e-6), (key, 200e-6)):
        door.credentials.identify(credential)
        best = min(_timed(door, credential) for _ in range(5))
        assert best < most, f"{best * 1e6:.1f} µs"


def _timed(door: Door, credential: str) -> float:
    begun = time.perf_counter()
    for _ in range(1000):
        door.credentials.identify(credential)
    return (time.perf_counter() - begun) / 1000
