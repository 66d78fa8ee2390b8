"""What waits to be pushed: written with the message, claimed and settled by the postman.

The log calls :meth:`Outbox.owe` in the message's own transaction (page 4.4). A claim is a short
transaction of its own, so that it never holds up a send; judging reads afterwards, and what was
judged is settled only if the row is still held. Nothing here speaks to a provider.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

from imd.actions.ports import Committed
from imd.domain.message_types import UNCOUNTED_TYPES
from imd.domain.push import Channel, Claim, Debt, Facts, Failure, Outbound, State
from imd.storage import addressees
from imd.storage.engine import Bulk, Connection, marks

_UNCOUNTED = ", ".join(str(int(number)) for number in sorted(UNCOUNTED_TYPES))
#: a message that its reader ``%s`` has to be told of
PUSHABLE = f"m.type NOT IN ({_UNCOUNTED}) AND m.recalled = 0 AND m.sender_id <> %s"
#: who is reached how: the first that holds. A patient is told by WeChat, all others by the app
_REACHED = {
    Channel.WECHAT: "(u.kind = 'patient' OR p.role = 'patient') AND u.openid <> ''"
    " AND u.push_refused IS NULL",
    Channel.SUBSCRIBE: "EXISTS (SELECT 1 FROM push_credits c"
    " WHERE c.user_id = p.participant_id AND c.credits > 0)",
    Channel.APP: "EXISTS (SELECT 1 FROM devices d WHERE d.user_id = p.participant_id)",
}


@lru_cache(maxsize=8)
def _owe(channels: frozenset[Channel]) -> Bulk:
    """Rows for all whom a message concerns; a waiting one only covers more (page 4.4)."""
    used = [channel for channel in _REACHED if channel in channels]
    cases = " ".join(f"WHEN {_REACHED[channel]} THEN '{channel}'" for channel in used)
    reached = " OR ".join(f"({_REACHED[channel]})" for channel in used)
    return Bulk(
        "outbox_owe_" + "_".join(used),
        ("text", "text", "bigint", "bigint", "bigint", "bigint"),
        "INSERT INTO outbox (session_id, user_id, channel, first_seq, upto_seq, due, create_time)"
        f" SELECT v.column1, p.participant_id, CASE {cases} END, v.column3, v.column4, v.column5,"
        " v.column6 FROM {rows} JOIN participants p ON p.session_id = v.column1"
        " AND p.participant_id <> v.column2 AND p.muted = 0"
        f" LEFT JOIN users u ON u.id = p.participant_id WHERE {reached}"
        " ON CONFLICT (session_id, user_id, channel) DO UPDATE SET upto_seq = excluded.upto_seq",
    )


def debts(stored: Iterable[Committed], grace: int) -> list[Debt]:
    """What these new messages leave to be told, one debt a session; ``grace`` is in ms."""
    # On the road of every message, so it makes as few objects as it can.
    found: dict[str, list[Any]] = {}
    for entry in stored:
        message = entry.message
        if message.type in UNCOUNTED_TYPES:
            continue
        debt = found.get(message.session_id)
        if debt is None:
            seq, time = message.seq, message.timestamp
            of = [message.session_id, message.sender_id, seq, seq, time + grace, time]
            found[message.session_id] = of
        else:
            debt[1], debt[3] = message.sender_id, message.seq
    return [Debt(*debt) for debt in found.values()]


class Outbox:
    """SQL on ``outbox`` and, at the end of a push, on ``pushes``."""

    def __init__(self, connection: Connection, rules: Outbound) -> None:
        self._db, self._rules = connection, rules

    # ---- with the message

    def owe(self, stored: Sequence[Committed]) -> None:
        """Whoever has to be told of these messages will be, unless they are seen in time."""
        if self._rules.channels and (owed := debts(stored, self._rules.grace)):
            self._db.later_of(_owe(self._rules.channels), owed)

    def cancel(self, session_id: str, user_ids: Collection[str]) -> None:
        """Nothing that waits is pushed to these of this session."""
        self._db.later(
            f"DELETE FROM outbox WHERE session_id = %s AND user_id IN {marks(len(user_ids))}",
            (session_id, *user_ids),
        )

    # ---- the postman's

    def claim(
        self, channel: str, limit: int, now: int, lease: int, name: str, probe: bool
    ) -> list[Claim]:
        """Due rows, held under ``name`` until ``now + lease`` (ms).

        A ``probe`` also takes a row that waits only because the channel was down.
        """
        parked = self._db.row("SELECT until FROM push_parked WHERE channel = %s", (channel,))
        if parked is not None and parked[0] > now:
            return []
        early = f" OR (s.failure = '{Failure.OUTAGE}' AND s.claim IS NULL)" if probe else ""
        found = self._db.rows(
            "WITH c AS MATERIALIZED (SELECT s.session_id, s.user_id FROM outbox s"
            f" WHERE s.channel = %s AND (s.due <= %s{early}) ORDER BY s.due LIMIT %s"
            f"{self._db.lock_free}) UPDATE outbox SET claim = %s, due = %s FROM c"
            " WHERE outbox.session_id = c.session_id AND outbox.user_id = c.user_id"
            " AND outbox.channel = %s RETURNING outbox.session_id, outbox.user_id,"
            " outbox.first_seq, outbox.upto_seq, outbox.create_time, outbox.attempts",
            (channel, now, limit, name, now + lease, channel),
        )
        return [
            Claim(row[0], row[1], channel, row[2], row[3], row[4], row[5], name) for row in found
        ]

    def next_due(self, channel: str, now: int) -> int | None:
        """When the next row of the channel comes due (ms); None when none waits."""
        sql = "SELECT due FROM outbox WHERE channel = %s ORDER BY due LIMIT 1"
        found = self._db.row(sql, (channel,))
        if found is None:
            return None
        parked = self._db.row("SELECT until FROM push_parked WHERE channel = %s", (channel,))
        return max(int(found[0]), parked[0] if parked is not None else now)

    def facts(self, claim: Claim) -> Facts:
        """What is to be known to judge and to send a claim."""
        return addressees.facts(self._db, claim, PUSHABLE)

    def end(self, claim: Claim, state: State, code: str | None, now: int) -> None:
        """This push is over; what came after it stays in the outbox."""
        self._ended(claim, state, code, now)
        row = self._db.row(
            "SELECT upto_seq FROM outbox WHERE session_id = %s AND user_id = %s AND channel = %s"
            f" AND claim = %s{self._db.lock}",
            (*claim[:3], claim.name),
        )
        if row is None:  # another process holds it by now, or the member was removed
            return
        later = None
        if row[0] > claim.upto_seq:
            later = self._db.row(
                "SELECT m.seq, m.timestamp FROM messages m WHERE m.session_id = %s AND m.seq > %s"
                f" AND {PUSHABLE} ORDER BY m.seq LIMIT 1",
                (claim.session_id, claim.upto_seq, claim.user_id),
            )
        if later is None:
            self._db.run(
                "DELETE FROM outbox WHERE session_id = %s AND user_id = %s AND channel = %s",
                claim[:3],
            )
            return
        self._db.run(
            "UPDATE outbox SET first_seq = %s, due = %s, create_time = %s, attempts = 0,"
            " failure = NULL, code = NULL, claim = NULL"
            " WHERE session_id = %s AND user_id = %s AND channel = %s",
            (later[0], later[1] + self._rules.grace, later[1], *claim[:3]),
        )

    def put_off(self, claim: Claim, due: int) -> None:
        """Give the row back until ``due`` (ms); nothing was tried."""
        self._db.run(
            "UPDATE outbox SET due = %s, claim = NULL"
            " WHERE session_id = %s AND user_id = %s AND channel = %s AND claim = %s",
            (due, *claim[:3], claim.name),
        )

    def retry(self, claim: Claim, due: int, failure: Failure, code: str) -> None:
        """An attempt failed; the next one is at ``due`` (ms)."""
        self._db.run(
            "UPDATE outbox SET due = %s, attempts = attempts + 1, failure = %s, code = %s,"
            " claim = NULL"
            " WHERE session_id = %s AND user_id = %s AND channel = %s AND claim = %s",
            (due, failure, code[:64], *claim[:3], claim.name),
        )

    def hurry(self, channel: str, now: int) -> int:
        """The channel is back: what waited for it is due at once. How many there were."""
        return self._db.run(
            "UPDATE outbox SET due = %s WHERE channel = %s AND due > %s AND failure = %s"
            " AND claim IS NULL",
            (now, channel, now, Failure.OUTAGE),
        )

    def park(self, channel: str, until: int, code: str) -> None:
        """The provider's quota is used up: no process tries again before ``until`` (ms)."""
        self._db.run(
            "INSERT INTO push_parked (channel, until, code) VALUES (%s, %s, %s)"
            " ON CONFLICT (channel) DO UPDATE SET until = excluded.until, code = excluded.code",
            (channel, until, code[:64]),
        )

    # ---- what a provider says about a user

    def refuse(self, user_id: str, code: str) -> None:
        """WeChat reaches this user no more, until the directory entry changes."""
        self._db.run("UPDATE users SET push_refused = %s WHERE id = %s", (code[:64], user_id))

    def spend_credit(self, user_id: str, left: int | None = None) -> None:
        """A subscribe message was used up; ``left`` when the provider said how many there are."""
        sql = "UPDATE push_credits SET credits = %s WHERE user_id = %s"
        if left is None:
            sql = "UPDATE push_credits SET credits = credits - 1 WHERE user_id = %s AND credits > 0"
        self._db.run(sql, (user_id,) if left is None else (left, user_id))

    def forget_device(self, user_id: str, client_id: str) -> None:
        """The provider knows no such device."""
        sql = "DELETE FROM devices WHERE user_id = %s AND client_id = %s"
        self._db.run(sql, (user_id, client_id))

    def _ended(self, claim: Claim, state: State, code: str | None, now: int) -> None:
        self._db.run(
            "INSERT INTO pushes (id, session_id, user_id, channel, first_seq, upto_seq, state,"
            f" code, attempts, create_time, end_time) VALUES {marks(11)}"
            " ON CONFLICT (id) DO UPDATE SET upto_seq = excluded.upto_seq,"
            " state = excluded.state, code = excluded.code, attempts = excluded.attempts,"
            " end_time = excluded.end_time",
            (
                claim.push_id,
                *claim[:2],
                claim.channel,
                claim.first_seq,
                claim.upto_seq,
                state,
                None if code is None else code[:64],
                claim.attempts + (state is State.SENT or code is not None),
                claim.create_time,
                now,
            ),
        )
