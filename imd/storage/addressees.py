"""What the store knows about the one who is to be told: marks, addresses, and of what.

:mod:`imd.storage.outbox` asks it for each claim, a moment before the push. Membership is part of
the SQL; every query is a look by key or a bounded run along one.
"""

from __future__ import annotations

from imd.domain.push import Channel, Claim, Device, Facts
from imd.storage.engine import Connection, Row

_NOBODY = Facts(
    False, False, None, None, (), 0, None, False, None, 0, 0, None, None, 0, 0, None, 0
)  # fmt: skip


def facts(db: Connection, claim: Claim, pushable: str) -> Facts:
    """The facts of one claim; ``pushable`` is the SQL of a message that is worth a push."""
    place = db.row(
        "SELECT p.read_seq, p.seen_seq, p.muted, u.push_refused, u.openid, s.name, s.type,"
        " s.counted, p.read_counted FROM participants p JOIN sessions s ON s.id = p.session_id"
        " LEFT JOIN users u ON u.id = p.participant_id"
        " WHERE p.session_id = %s AND p.participant_id = %s",
        (claim.session_id, claim.user_id),
    )
    if place is None:
        return _NOBODY
    seen = max(place[0], place[1], claim.first_seq - 1)
    oldest = _message(db, claim, seen, pushable, "ASC")
    newest = _message(db, claim, seen, pushable, "DESC") if oldest else None
    refused, address, devices = _addresses(db, claim, place)
    return Facts(
        True,
        bool(place[2]),
        refused,
        address,
        devices,
        max(0, place[7] - place[8]),
        oldest[4] if oldest else None,
        oldest is None and seen < claim.upto_seq,
        place[5],
        place[6],
        newest[1] if newest else 0,
        newest[0] if newest else None,
        newest[2] if newest else None,
        newest[3] if newest else 0,
        newest[4] if newest else 0,
        newest[5] if newest and not newest[6] else None,
        _badge(db, claim.user_id) if claim.channel == Channel.APP else 0,
    )


def _message(db: Connection, claim: Claim, after: int, pushable: str, order: str) -> Row | None:
    return db.row(
        "SELECT m.id, m.seq, m.sender_name, m.type, m.timestamp, m.content, m.structured"
        " FROM messages m WHERE m.session_id = %s AND m.seq > %s AND m.seq <= %s"
        f" AND {pushable} ORDER BY m.seq {order} LIMIT 1",
        (claim.session_id, after, claim.upto_seq, claim.user_id),
    )


def _addresses(
    db: Connection, claim: Claim, place: Row
) -> tuple[str | None, str | None, tuple[Device, ...]]:
    """Why the user is not reached, the openid, and the devices, as the channel wants them."""
    if claim.channel == Channel.WECHAT:
        return place[3], place[4] or None, ()
    if claim.channel == Channel.SUBSCRIBE:
        sql = "SELECT openid FROM push_credits WHERE user_id = %s AND credits > 0"
        credit = db.row(sql, (claim.user_id,))
        return None, credit[0] if credit else None, ()
    found = db.rows(
        "SELECT client_id, platform, app_state FROM devices WHERE user_id = %s"
        " ORDER BY login_time DESC, client_id LIMIT 20",
        (claim.user_id,),
    )
    return None, None, tuple(Device(*row) for row in found)


def _badge(db: Connection, user_id: str) -> int:
    """Unread over all sessions, exactly (page 2.5)."""
    found = db.row(
        "SELECT sum(s.counted - p.read_counted) FROM participants p"
        " JOIN sessions s ON s.id = p.session_id WHERE p.participant_id = %s"
        " AND s.counted > p.read_counted",
        (user_id,),
    )
    return int(found[0] or 0) if found else 0
