"""From the outbox to the provider and back: once, in time, never when not needed (page 4.4)."""

from __future__ import annotations

import time
from collections import deque
from itertools import pairwise
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from imd.domain.push import Failure, Terms, quiet_hours
from imd.push.breaker import Breaker, Stage
from imd.push.ports import Failed, Job, Outcome, Refused, Sent
from tests.push.world import HOUR, LATER, MINUTE, World
from tests.storage.ground import NOW, until


class Carrier:
    """Answers what it is told to; ``jobs`` is what it was asked to send."""

    def __init__(self, channel: str = "wechat", *answers: Outcome | Exception) -> None:
        self.channel = channel
        self.answers = deque(answers)
        self.jobs: list[Job] = []
        self.held: Deferred[None] | None = None

    async def send(self, job: Job) -> Outcome:
        self.jobs.append(job)
        if self.held is not None:
            await self.held
        answer = self.answers.popleft() if self.answers else Sent()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def covered(self) -> list[tuple[str, int, int]]:
        return [(j.claim.user_id, j.claim.first_seq, j.claim.upto_seq) for j in self.jobs]


async def chat(world: World, *patients: str) -> None:
    for patient in patients or ("P1",):
        await world.patient(patient)
        await world.ground.session(f"s-{patient}", patient, "D1")


async def say(world: World, patient: str = "P1") -> Any:
    return await world.send(f"s-{patient}", "D1")


@pytest_twisted.ensureDeferred
async def test_a_burst_is_one_push_after_the_grace_time(world) -> None:
    await chat(world)
    carrier = Carrier()
    postman = world.postman(carrier)
    for _ in range(5):
        await say(world)
    await world.round(postman)
    assert carrier.jobs == []
    world.clock.time += LATER
    await world.round(postman)
    await world.round(postman)
    assert carrier.covered == [("P1", 1, 5)]
    assert [row[5] for row in await world.ended()] == ["sent"]
    assert await world.outbox() == []


@pytest_twisted.ensureDeferred
async def test_what_was_seen_in_time_is_closed_unsent(world) -> None:
    await chat(world)
    carrier = Carrier()
    await say(world)
    await world.ground.mark("s-P1", "P1")
    world.clock.time += LATER
    await world.round(world.postman(carrier))
    assert carrier.jobs == []
    assert [row[5:] for row in await world.ended()] == [("seen", None)]


@pytest_twisted.ensureDeferred
async def test_a_younger_unseen_message_waits_for_its_own_grace_time(world) -> None:
    await chat(world)
    carrier = Carrier()
    postman = world.postman(carrier)
    await say(world)
    world.clock.time += 2000
    await say(world)
    await world.ground.mark("s-P1", "P1", 1)
    world.clock.time += 1100
    await world.round(postman)
    assert carrier.jobs == []
    world.clock.time += 2000
    await world.round(postman)
    assert carrier.covered == [("P1", 1, 2)]


@pytest_twisted.ensureDeferred
async def test_each_message_is_covered_by_one_accepted_push(world) -> None:
    await chat(world)
    carrier = Carrier()
    postman = world.postman(carrier)
    seqs: list[int] = []
    for _ in range(4):
        seqs.append((await say(world)).seq)
        world.clock.time += 2000
        await world.round(postman)
    world.clock.time += HOUR
    await world.round(postman)
    covered = [seq for _, first, upto in carrier.covered for seq in range(first, upto + 1)]
    assert covered == seqs


@pytest_twisted.ensureDeferred
async def test_what_was_told_once_is_not_told_again_for_a_recalled_message(world) -> None:
    await chat(world)
    carrier = Carrier()
    postman = world.postman(carrier)
    await say(world)
    world.clock.time += LATER
    await world.round(postman)
    second = await say(world)
    await world.write(lambda tx: tx.messages.recall(second, "D1", world.clock.time))
    world.clock.time += LATER
    await world.round(postman)
    assert carrier.covered == [("P1", 1, 1)]
    assert [row[5] for row in await world.ended()] == ["sent", "recalled"]


@pytest_twisted.ensureDeferred
async def test_a_failure_backs_off_with_full_jitter_and_keeps_its_id(world) -> None:
    await chat(world)
    carrier = Carrier("wechat", *[Failed(Failure.OUTAGE, "http_500")] * 3)
    postman = world.postman(carrier)
    await say(world)
    world.clock.time += LATER
    waits = []
    for _ in range(3):
        await world.round(postman)
        ((*_, due),) = await world.outbox()
        waits.append(due - world.clock.time)
        world.clock.time = due
    assert waits == [1000, 2000, 4000]  # half of 2, 4, 8 seconds: the chance is 0.5
    await world.round(postman)
    assert len({job.id for job in carrier.jobs}) == 1
    assert len(carrier.jobs) == 4
    assert [row[5] for row in await world.ended()] == ["sent"]


def test_jitter_is_full_and_never_a_hot_loop() -> None:
    terms = Terms()
    assert [terms.wait(n, 0.999999) for n in (1, 2, 3, 9, 10, 99)] == [
        2000, 4000, 8000, 512_000 - 1, 600_000 - 1, 600_000 - 1,
    ]  # fmt: skip
    assert terms.wait(1, 0.0) == 250


@pytest_twisted.ensureDeferred
async def test_retry_after_is_honoured(quick) -> None:
    await chat(quick)
    carrier = Carrier("wechat", Failed(Failure.BUSY, "http_429", 77.0))
    await say(quick)
    quick.clock.time += LATER
    await quick.round(quick.postman(carrier))
    ((*_, due),) = await quick.outbox()
    assert due == quick.clock.time + 77_000


@pytest_twisted.ensureDeferred
async def test_a_push_that_is_too_old_is_dead(world) -> None:
    await chat(world)
    carrier = Carrier("wechat", Failed(Failure.OUTAGE, "http_500"))
    postman = world.postman(carrier)
    await say(world)
    world.clock.time += LATER
    await world.round(postman)
    world.clock.time += 24 * HOUR
    await world.round(postman)
    assert len(carrier.jobs) == 1
    assert [row[5:] for row in await world.ended()] == [("dead", "expired")]


@pytest_twisted.ensureDeferred
async def test_a_retry_beyond_the_time_to_live_is_not_waited_for(quick) -> None:
    await chat(quick)
    carrier = Carrier("wechat", Failed(Failure.BUSY, "http_429", 86_400.0))
    await say(quick)
    quick.clock.time += LATER
    await quick.round(quick.postman(carrier))
    assert [row[5:] for row in await quick.ended()] == [("dead", "http_429")]


@pytest_twisted.ensureDeferred
async def test_a_user_refused_for_good_is_recorded_and_left_alone(world) -> None:
    await chat(world)
    carrier = Carrier("wechat", Refused("43004", user=True))
    postman = world.postman(carrier)
    await say(world)
    world.clock.time += LATER
    await world.round(postman)
    assert [row[5:] for row in await world.ended()] == [("dead", "43004")]
    await say(world)
    assert await world.outbox() == []


@pytest_twisted.ensureDeferred
async def test_a_message_refused_for_good_says_nothing_about_the_user(quick) -> None:
    await chat(quick)
    carrier = Carrier("wechat", Refused("47003"))
    await say(quick)
    quick.clock.time += LATER
    await quick.round(quick.postman(carrier))
    await say(quick)
    assert len(await quick.outbox()) == 1


@pytest_twisted.ensureDeferred
async def test_a_used_up_quota_parks_the_channel(world) -> None:
    await chat(world, "P1", "P2", "P3")
    carrier = Carrier("wechat", Failed(Failure.QUOTA, "45009"))
    postman = world.postman(carrier, slots=1)
    for patient in ("P1", "P2", "P3"):
        await say(world, patient)
    world.clock.time += LATER
    await world.round(postman)
    for _ in range(9):  # less than ten minutes
        world.clock.time += MINUTE
        await world.round(postman)
    assert len(carrier.jobs) == 1
    world.clock.time += MINUTE
    for _ in range(4):
        await world.round(postman)
    assert len(carrier.jobs) == 4
    assert [row[5] for row in await world.ended()] == ["sent"] * 3


@pytest_twisted.ensureDeferred
async def test_while_down_a_probe_goes_out_and_on_return_all_that_waited(world) -> None:
    patients = [f"P{n}" for n in range(8)]
    await chat(world, *patients)
    carrier = Carrier("wechat", *[Failed(Failure.OUTAGE, "http_503")] * 8)
    postman = world.postman(carrier)
    for patient in patients:
        await say(world, patient)
    world.clock.time += LATER
    await world.round(postman)
    assert postman.breaker.allows(0.0, 1) == 0
    # All wait for minutes by now, but the channel is back.
    await world.write(lambda tx: tx.connection.run("UPDATE outbox SET due = due + 500000"))
    postman.breaker._until = 0.0
    await world.round(postman)
    assert postman.breaker.stage is Stage.UP
    await world.round(postman)
    assert [row[5] for row in await world.ended()] == ["sent"] * 8


def test_the_breaker_probes_at_least_every_thirty_seconds() -> None:
    breaker, now = Breaker(), 0.0
    assert [breaker.failed(now) for _ in range(5)] == [False] * 4 + [True]
    probes = []
    while now < 300:
        if breaker.allows(now, 16):
            assert breaker.allows(now, 16) == 1
            breaker.probing()
            assert breaker.allows(now, 16) == 0
            probes.append(now)
            breaker.failed(now)
        now += 0.5
    gaps = [later - earlier for earlier, later in pairwise(probes)]
    assert gaps[:5] == [2.0, 4.0, 8.0, 16.0, 30.0]
    assert max(gaps) == 30.0
    assert breaker.succeeded()
    assert breaker.allows(now, 16) == 16


def test_a_probe_without_a_word_about_the_channel_is_made_again() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0.0)
    breaker.probing()
    breaker.unused(10.0)
    assert breaker.stage is Stage.DOWN
    assert breaker.allows(20.0, 3) == 1


# ---- quiet hours


def at(hours: int, minutes: int = 0) -> int:
    """A moment of China's day, 2027-01-15."""
    midnight = NOW // 86_400_000 * 86_400_000 - 8 * HOUR
    return midnight + hours * HOUR + minutes * MINUTE


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        (at(21, 59), None),
        (at(22), at(31)),
        (at(23, 30), at(31)),
        (at(30, 59), at(31)),
        (at(31), None),
    ],
)
def test_quiet_hours_span_midnight_in_chinas_time(now, ends) -> None:
    quiet = quiet_hours(["wechat 22:00-07:00"])
    assert quiet.ends("wechat", "P1", now) == ends
    assert quiet.ends("app", "P1", now) is None


def test_a_user_may_have_other_quiet_hours_or_none() -> None:
    quiet = quiet_hours(["wechat 22:00-07:00", "wechat@P1 off", "wechat@P2 12:00-13:00"])
    assert quiet.ends("wechat", "P1", at(23)) is None
    assert quiet.ends("wechat", "P2", at(12, 30)) == at(13)
    assert quiet.ends("wechat", "P2", at(23)) is None
    assert quiet.ends("wechat", "P3", at(23)) == at(31)


@pytest.mark.parametrize("line", ["", "wechat", "sms 22:00-07:00", "wechat 24:00-07:00", "app 1-2"])
def test_bad_quiet_hours_are_refused(line) -> None:
    with pytest.raises(ValueError):
        quiet_hours([line])


@pytest_twisted.ensureDeferred
async def test_what_came_in_quiet_hours_is_one_push_at_their_end(world) -> None:
    world.clock.time = at(23)
    await chat(world)
    carrier = Carrier()
    postman = world.postman(carrier, Terms(quiet=quiet_hours(["wechat 22:00-07:00"])))
    for _ in range(3):
        await say(world)
        world.clock.time += HOUR
        await world.round(postman)
    assert carrier.jobs == []
    ((*_, due),) = await world.outbox()
    assert due == at(31)
    world.clock.time = due
    await world.round(postman)
    assert carrier.covered == [("P1", 1, 3)]


# ---- in time, and through every death


@pytest_twisted.ensureDeferred
async def test_it_wakes_by_itself_when_a_row_comes_due(quick) -> None:
    """With the real reactor: no polling, and no waiting for luck."""
    await chat(quick)
    start = time.monotonic()
    quick.clock.now = lambda: NOW + round((time.monotonic() - start) * 1000)
    carrier = Carrier()
    terms = Terms(grace=300)
    postman = quick.postman(carrier, terms)
    quick.office._clock = quick.clock
    postman.start()
    message = await say(quick)
    await quick.write(lambda tx: tx.connection.run("UPDATE outbox SET due = due - 2700"))
    postman.expect(message.timestamp + terms.grace)
    await until(lambda: carrier.jobs)
    took = quick.clock.now() - message.timestamp
    assert 300 <= took < 10_000  # and not at the next look without a wake, after 15 s
    await postman.stop()
    assert [row[5] for row in await quick.ended()] == ["sent"]


@pytest_twisted.ensureDeferred
async def test_a_stop_waits_for_what_is_under_way(quick) -> None:
    await chat(quick)
    carrier = Carrier()
    carrier.held = Deferred()
    postman = quick.postman(carrier)
    await say(quick)
    quick.clock.time += LATER
    postman.start()
    await until(lambda: carrier.jobs)
    stopped = Deferred.fromCoroutine(postman.stop())
    assert not stopped.called
    carrier.held.callback(None)
    await stopped
    assert [row[5] for row in await quick.ended()] == ["sent"]


@pytest_twisted.ensureDeferred
async def test_nothing_more_is_claimed_after_a_stop(quick) -> None:
    await chat(quick, "P1", "P2")
    carrier = Carrier()
    postman = quick.postman(carrier, slots=1)
    for patient in ("P1", "P2"):
        await say(quick, patient)
    quick.clock.time += LATER
    carrier.held = Deferred()
    postman.start()
    await until(lambda: carrier.jobs)
    stopped = Deferred.fromCoroutine(postman.stop())
    carrier.held.callback(None)
    await stopped
    await quick.round(postman)
    assert len(carrier.jobs) == 1


@pytest_twisted.ensureDeferred
async def test_a_channel_that_answers_anything_is_back(quick) -> None:
    await chat(quick)
    carrier = Carrier("wechat", Failed(Failure.QUOTA, "45009"))
    postman = quick.postman(carrier)
    for _ in range(5):
        postman.breaker.failed(0.0)
    await say(quick)
    quick.clock.time += LATER
    await quick.round(postman)
    assert postman.breaker.stage is Stage.UP


@pytest_twisted.ensureDeferred
async def test_a_carrier_that_breaks_leaves_the_row_to_its_lease(quick) -> None:
    await chat(quick)
    carrier = Carrier("wechat", RuntimeError("a bug"))
    postman = quick.postman(carrier)
    await say(quick)
    quick.clock.time += LATER
    await quick.round(postman)
    ((*_, due),) = await quick.outbox()
    assert due == quick.clock.time + 30_000
    quick.clock.time = due
    await quick.round(postman)
    assert [row[5] for row in await quick.ended()] == ["sent"]


@pytest_twisted.ensureDeferred
async def test_the_lease_of_a_dead_process_passes_to_another(world) -> None:
    await chat(world)
    await say(world)
    world.clock.time += LATER
    await world.claim()  # by one who dies now
    carrier = Carrier()
    postman = world.postman(carrier)
    await world.round(postman)
    assert carrier.jobs == []
    world.clock.time += 30_000
    await world.round(postman)
    assert carrier.covered == [("P1", 1, 1)]
