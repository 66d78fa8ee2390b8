"""Moving over from the original (page 7.1): one pass over its tables, session by session.

``imdctl import-legacy`` calls :func:`move`. A chunk of some thousand rows is one transaction in
imd's database, together with how far the run has come, so a run that is killed goes on where it
was. What is new to imd is added, what it holds is met. While a chunk is stored in a thread of its
own, the next is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from imd.actions.arrivals import Chunk, Progress, Row, Target
from imd.ledger.comparing import compare
from imd.ledger.desk import CHUNK, Desk, Left, Order, flaw
from imd.ledger.grouping import Family, families
from imd.ledger.names import CHANNELS
from imd.ledger.reading import MemberRow, PlacedTopic, Reading
from imd.ledger.report import Report
from imd.ledger.session_move import SessionMove


class Refused(Exception):
    """The target is not one into which can be moved; the sentence says why."""


def move(
    reading: Callable[[str | None], Reading], target: Target, order: Order, report: Report
) -> Report:
    """Carry a run out, or on; the report of it all.

    ``reading`` opens the original from after a session on; ``report`` holds what is known of its
    tables. Raises Refused, ForeignFailed, Moved, and what the target's database says.
    """
    if not order.merge and target.holds_own_sessions():
        raise Refused("the target holds sessions of its own; --merge moves into it all the same")
    progress = None if order.dry_run else target.progress(order.source)
    if progress is not None and target.has_deleted():
        raise Refused("retention has deleted some of what would be moved again")
    after = None
    if progress is not None and progress.running:
        former = Report.of(progress.report)
        report.resumed = True
        if former.directory:
            report, after = report.onward(former), progress.after
    if after is None and not order.dry_run:
        target.begin(order.source, report.kept())
    with ThreadPoolExecutor(1, thread_name_prefix="imd-moving") as pool:
        with closing(reading(after)) as opened:
            _run(Desk(target, order, report, pool), opened, after)
    if not order.dry_run:
        report.sessions_compared, report.sessions_different = compare(target)
        target.put(Chunk(), order.source, Progress(False, None, report.kept()))
    return report


def _run(desk: Desk, reading: Reading, after: str | None) -> None:
    """One pass; ``after`` is the session up to which a killed run had come."""
    desk.after = after
    if not desk.report.directory:
        _people(desk, reading)
        _devices(desk, reading)
        desk.report.directory = True
        desk.store()
        desk.settle()
    desk.doctors |= desk.target.doctors()
    reading.gather(lambda session_id: flaw(session_id) is None)
    desk.topic_twins = reading.topic_twins()
    for family in families(reading, desk.target.standing):
        _family(desk, reading, family)
        desk.after = family.key
        if desk.full:
            desk.store()
    desk.store()
    desk.settle()


# ---- the directory


def _people(desk: Desk, reading: Reading) -> None:
    report, now = desk.report, desk.order.now
    for table, kind in (("doctors", "doctor"), ("patients", "patient")):
        seen: str | None = None
        for id_, name, sex, born, avatar, openid in reading.people(table):
            report.source[table] += 1
            twin = id_ == seen or (kind == "patient" and id_ in desk.doctors)
            if reason := flaw(id_) or ("duplicate" if twin else None):
                desk.reject(table, id_, None, reason)
                continue
            seen = id_
            if kind == "doctor":
                desk.doctors.add(id_)
            desk.chunk.users.append((id_, kind, name, sex, born, avatar, openid, now))
            if len(desk.chunk.users) >= CHUNK:
                _store_some(desk, table, desk.chunk.users)
        _store_some(desk, table, desk.chunk.users)


def _devices(desk: Desk, reading: Reading) -> None:
    now = desk.order.now
    for user_id, client_id, platform, token in reading.devices():
        desk.report.source["app_status"] += 1
        if reason := flaw(user_id) or (None if client_id else "empty_id"):
            desk.reject("app_status", client_id or user_id, None, reason)
            continue
        kind = platform if platform in (0, 1) else None
        desk.chunk.devices.append((user_id, client_id, kind, token, "background", now))
        if len(desk.chunk.devices) >= CHUNK:
            _store_some(desk, "app_status", desk.chunk.devices)
    _store_some(desk, "app_status", desk.chunk.devices)


def _store_some(desk: Desk, table: str, rows: Sequence[Row]) -> None:
    """Store people or devices, and count those that were new."""
    number = len(rows)
    desk.store()
    made = sum(desk.settle())
    desk.report.imported[table] += number if desk.order.dry_run else made


# ---- sessions


def _family(desk: Desk, reading: Reading, family: Family) -> None:
    """One session with all that belongs to it, or what belongs to none."""
    key, left = family.key, Left(family.key)
    left.met["sessions"] += len(family.sessions)
    reason = None if family.sessions else "no_session"
    if family.sessions and (wrong := flaw(key)):
        left.out("sessions", key, wrong)
        reason = "no_session" if wrong == "empty_id" else wrong
    for _ in family.sessions[1:]:
        left.out("sessions", key, "duplicate")
    members = _members(left, family, reason)
    topics = _topics(left, family, reason)
    if reason is None:
        SessionMove(desk, family, members, topics, reading.twins, left).run()
    else:
        for row in family.messages:
            left.met[CHANNELS[row.rank]] += 1
            left.out(CHANNELS[row.rank], row.id, reason)
    desk.count(left)


def _members(left: Left, family: Family, reason: str | None) -> list[MemberRow]:
    """The members that can be moved; of one who is there twice, the row that had read more."""
    kept: dict[str, MemberRow] = {}
    for row in family.members:
        left.met["participants"] += 1
        id_ = row.participant_id
        if wrong := reason or flaw(id_) or ("duplicate" if id_ in kept else None):
            left.out("participants", id_, wrong)
            if wrong != "duplicate" or _fetched(row) <= _fetched(kept[id_]):
                continue
        kept[id_] = row
    return list(kept.values())


def _fetched(row: MemberRow) -> int:
    return -1 if row.last_fetch_time is None else row.last_fetch_time


def _topics(left: Left, family: Family, reason: str | None) -> list[PlacedTopic]:
    """The topics that can be moved, each id once."""
    kept: dict[str, PlacedTopic] = {}
    for topic in family.topics:
        left.met["topics"] += 1
        id_ = topic.row.id
        if wrong := reason or flaw(id_) or ("duplicate" if id_ in kept else None):
            left.out("topics", id_, wrong)
            continue
        kept[id_] = topic
    return list(kept.values())
