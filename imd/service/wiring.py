"""The object graph of one server process, made by hand and read from top to bottom (page 6).

:mod:`imd.service.tap` runs :func:`serve` as the start of its ordered service. Each thing that must
be ended says so to ``steps`` as soon as it is up, so a stop, or a failed start, ends them in
reverse. It holds no rule but the order.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from imd.actions.ports import Clock, House, Rates, Rules
from imd.config import Settings
from imd.config.clock_checks import clock_of
from imd.config.settings import LimitsSettings
from imd.delivery.admission import Admission
from imd.delivery.attendance import Attendance
from imd.delivery.courier import Courier
from imd.delivery.registry import Registry
from imd.domain.rates import Rate
from imd.service.announcing import AT_ONCE, repeat
from imd.service.clock import SystemClock
from imd.service.collecting import collect_seldom
from imd.service.console import Watching
from imd.service.credentials import (
    POLL_SECONDS,
    PURGE_SECONDS,
    Credentials,
    Snapshot,
    purge,
    read_snapshot,
)
from imd.service.deletions import LOOK_SECONDS, Deletions
from imd.service.demo import tell_demo
from imd.service.drain import GRACE, Drain
from imd.service.figures import FIGURES, TICK, Figures
from imd.service.front import Front, build_front
from imd.service.ids import NewIds
from imd.service.ledgers import SUM_UP_SECONDS, TURN_SECONDS, Ledgers
from imd.service.listening import CannotServe
from imd.service.metrics import Metrics, Sources
from imd.service.neighbours import Alone, neighbours_of
from imd.service.ordered import Steps
from imd.service.overdue import watch_overdue
from imd.service.pushing import (
    COUNT_SECONDS,
    FORGET_SECONDS,
    STOP_SECONDS,
    Pushing,
    WakingCourier,
    outbound_of,
)
from imd.service.secret import signing_secret
from imd.service.standing import Place
from imd.service.sums import METRICS, told
from imd.service.tokens import Tokens
from imd.service.vitals import VITALS_SECONDS, Vitals
from imd.storage.store import Store, open_store

#: seconds that each step of a stop may take; after the drain, the sum stays below 5 (page 4.6)
_STORE_LIMIT: Final = 1.5
_STORE_MARGIN: Final = 0.5


async def serve(settings: Settings, reactor: Any, steps: Steps, place: Place) -> None:
    """Start everything in order and open the port; returns when the server is ready.

    Raises CannotServe, SchemaError, StorageError or Unavailable when it cannot be.
    """
    clock, http, database = SystemClock(), settings.http, settings.database
    store = await open_store(
        database.url,
        reactor=reactor,
        clock=clock,
        on_commit=lambda entries: courier.committed(entries),
        pool=database.pool,
        timeout=http.request_timeout,
        auto_migrate=database.auto_migrate,
        outbound=outbound_of(settings, clock),
    )
    steps.add("store", lambda: store.close(_STORE_LIMIT), _STORE_LIMIT + _STORE_MARGIN)
    await refuse_unsafe(settings, store)

    registry = Registry(settings.limits.sockets_per_user)
    neighbours = neighbours_of(settings.bus, reactor, clock, store.looks, registry)
    courier = WakingCourier(store.looks, registry, reactor, clock.now, neighbours.bus)
    steps.add("courier", courier.stop, AT_ONCE)
    admission = Admission(registry, courier.feeds, courier.badges)
    follow_deletions(reactor, steps, store, registry, courier)

    credentials, look = await keep_door(settings, reactor, steps, store, courier)
    await neighbours.join(steps, courier, look)
    house = House(
        db=store.database,
        writer=store.writer,
        courier=courier,
        presence=neighbours.presence,
        doorkeeper=credentials,
        clock=clock,
        new_id=NewIds(clock, os.urandom),
        rules=rules_of(settings),
        rates=rates_of(settings.limits),
        statistics=keep_ledgers(settings, reactor, steps),
        reply_clock=clock_of(settings.clock),
    )
    attendance = Attendance(reactor, registry, neighbours.judge)
    pushing = start_pushing(settings, reactor, steps, house, store, courier, attendance)
    front = watched_front(
        settings, reactor, steps, place, house, admission, store, courier, neighbours, pushing
    )
    front.sockets.start()
    steps.add("sockets", front.sockets.stop, AT_ONCE)
    collect_seldom(steps)
    port = await place.open_port(settings, front.site)
    drain = draining(front, attendance, port, lambda: place.patience(http.drain), reactor)
    steps.add("drain", drain, http.drain + GRACE + AT_ONCE)
    place.ready(settings, port, steps)


def draining(
    front: Front, attendance: Attendance, port: Any, seconds: Callable[[], float], reactor: Any
) -> Drain:
    """What takes leave of everybody, within so many seconds."""

    def last_call() -> None:
        attendance.hold()
        front.last_call()

    return Drain(
        last_call=last_call,
        shut=front.shut,
        port=port,
        sockets=front.sockets.drain,
        idle=front.dispatch.idle,
        connections=lambda: len(front.site.channels),
        seconds=seconds,
        clock=reactor,
    )


def follow_deletions(
    reactor: Any, steps: Steps, store: Store, registry: Registry, courier: Courier
) -> None:
    """What retention deletes beside the server shows on outer sockets."""
    deletions = Deletions(store.looks, lambda: registry.outer_users, courier.badges.stale)
    repeat(steps, reactor, "looking for deletions", LOOK_SECONDS, deletions.look)


async def keep_door(
    settings: Settings, reactor: Any, steps: Steps, store: Store, courier: Courier
) -> tuple[Credentials, Callable[[], None]]:
    """Credentials that follow the store, and what makes them look into it at once.

    The store's old revocations are forgotten.
    """
    clock = SystemClock()

    def look() -> Awaitable[Snapshot]:
        return store.database.read(read_snapshot, clock.now())

    def forget() -> Awaitable[None]:
        return store.database.write(purge, clock.now())

    credentials = Credentials(
        tokens_of(settings, clock),
        look,
        trusted=settings.auth.mode == "trusted",
        on_revoked=courier.cut,
    )
    await credentials.refresh()
    poll = repeat(steps, reactor, "reading credentials", POLL_SECONDS, credentials.refresh)
    repeat(steps, reactor, "forgetting expired tokens", PURGE_SECONDS, forget)
    return credentials, poll.soon


def start_pushing(
    settings: Settings,
    reactor: Any,
    steps: Steps,
    house: House,
    store: Store,
    courier: WakingCourier,
    attendance: Attendance,
) -> Pushing | None:
    """The postmen of the configured channels, if any (page 4.4)."""
    pushing = Pushing(settings, reactor, house.clock, store.database, house.presence, house.new_id)
    if pushing:
        courier.wake, courier.told = pushing.wake, pushing.wake_heralds
        pushing.start()
        steps.add("push", pushing.stop, STOP_SECONDS)
        repeat(steps, reactor, "counting pushes", COUNT_SECONDS, pushing.count)
        if pushing.watches:
            attendance.watch(pushing.came)
            steps.add("attendance", attendance.stop, AT_ONCE)
        repeat(steps, reactor, "forgetting old pushes", FORGET_SECONDS, pushing.forget)
        return pushing
    return None


# ---- the parts that settings decide


async def refuse_unsafe(settings: Settings, store: Store) -> None:
    """Profile prod does not run on a database that may forget what it acknowledged (page 2.1)."""
    unsafe = await store.unsafe_settings() if settings.profile == "prod" else []
    if unsafe:
        lines = (f"database.url: {problem}, which prod refuses: set it back" for problem in unsafe)
        raise CannotServe("\n".join(lines))


def tokens_of(settings: Settings, clock: Clock) -> Tokens:
    """The tokens that ``auth.*`` describes; CannotServe when the secret cannot be kept."""
    try:
        secret = signing_secret(settings, os.urandom)
    except OSError as error:
        where = f"state directory {settings.state_dir}"
        raise CannotServe(f"{where} cannot be used: {error.strerror}") from None
    return Tokens(
        clock=clock,
        entropy=os.urandom,
        secret=secret,
        public_key=settings.auth.public_key,
        audience=settings.auth.audience,
        ttl=settings.auth.token_ttl,
    )


def rules_of(settings: Settings) -> Rules:
    """The rules of messages, in the units of the actions."""
    return Rules(
        content=settings.limits.content,
        recall_window=round(settings.messages.recall_window * 1000),
        extra_types=frozenset(settings.messages.extra_types),
    )


def rates_of(limits: LimitsSettings) -> Rates:
    """The buckets of page 2.7; one of no size would let nobody pass, so it holds one at least."""
    sends = limits.sends_per_second if limits.send_burst else 0.0
    return Rates(
        sends=Rate(sends, max(1, limits.send_burst)),
        requests=Rate(limits.requests_per_second, max(1.0, limits.requests_per_second)),
        failures=Rate(
            limits.failed_logins_per_minute / 60, max(1.0, limits.failed_logins_per_minute)
        ),
    )


# ---- what is measured and shown


def watched_front(
    settings: Settings,
    reactor: Any,
    steps: Steps,
    place: Place,
    house: House,
    admission: Admission,
    store: Store,
    courier: Courier,
    neighbours: Alone,
    pushing: Pushing | None,
) -> Front:
    """The site, with everything measured that it shows."""
    metrics = Metrics()
    watching = watching_of(settings, reactor, place, house, metrics)
    checks = {"database": answers(store.ping)}

    def degraded() -> list[str]:
        return [*neighbours.degraded(), *place.degraded()]

    front = build_front(settings, reactor, house, admission, checks, watching, degraded)
    measure(metrics, store, courier, front, pushing)
    if isinstance(house.statistics, Ledgers):
        ledgers = house.statistics
        metrics.sources.ledgers = lambda: ledgers.differences
    neighbours.measure(metrics)
    metrics.sources.overdue = watch_overdue(
        settings, reactor, steps, house, store.database, pushing
    )
    vitals = metrics.sources.vitals = Vitals(checks, settings.state_dir)
    repeat(steps, reactor, "vitals", VITALS_SECONDS, vitals.look)
    repeat(steps, reactor, "figures", TICK, watching.figures.tick)
    figures = watching.figures
    place.share({METRICS: lambda: told(metrics.registry.collect()), FIGURES: figures.look})
    return front


def watching_of(
    settings: Settings, reactor: Any, place: Place, house: House, metrics: Metrics
) -> Watching:
    """What the console shows; it makes demo data only where everybody is believed, in dev."""

    def make() -> Awaitable[dict[str, Any]]:
        return tell_demo(house)

    playing = settings.profile == "dev" and settings.auth.mode == "trusted"
    figures = Figures(metrics, reactor)
    return Watching(metrics, figures, place.gather, make if playing else None)


def measure(
    metrics: Metrics, store: Store, courier: Courier, front: Front, pushing: Pushing | None
) -> None:
    """Say where the rooms' numbers stand (page 5.4)."""
    store.writer.batched = metrics.batched
    metrics.watch(
        Sources(
            sockets=cast(Mapping[str, int], courier.registry.counts),
            recoveries=front.sockets.room.recoveries,
            closes=front.sockets.room.closes,
            stored=lambda: courier.stored,
            delivered=lambda: courier.delivered,
            database_load=lambda: store.load,
            database_waits=lambda: store.waits,
            writer_queue=lambda: store.writer.waiting,
            pushes=pushing,
        )
    )


# ---- what goes on beside


def keep_ledgers(settings: Settings, reactor: Any, steps: Steps) -> Ledgers:
    """Statistics, and the comparison with the platform where ``reconcile.every`` wants it."""
    ledgers = Ledgers(settings, reactor, SystemClock())
    ledgers.start()
    steps.add("ledgers", ledgers.stop, AT_ONCE)
    repeat(steps, reactor, "summing days up", SUM_UP_SECONDS, ledgers.sum_up)
    if settings.reconcile.every:
        every = min(settings.reconcile.every, TURN_SECONDS)
        repeat(steps, reactor, "comparing ledgers", every, ledgers.compare)
    return ledgers


def answers(ping: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[bool]]:
    """A readiness check: good when ``ping`` comes back, bad when it raises."""

    async def check() -> bool:
        await ping()
        return True

    return check
