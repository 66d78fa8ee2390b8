"""The directory of people, their devices, and tokens that were given back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from imd.domain.user import CREATED, UNCHANGED, UPDATED, ConsultTime, Device, Result, User
from imd.storage.engine import Bulk, Connection, marks

_USER = "id, kind, name, sex, birthdate, avatar, openid, team_code, title, last_active_time"
_DEVICE = "user_id, client_id, platform, token, app_state, login_time"
#: the columns that PUT may set; names come from here, never from a request
_SETTABLE = ("kind", "name", "sex", "birthdate", "avatar", "openid", "team_code", "title")
_BARE = Bulk(
    "users_bare",
    ("text", "bigint"),
    "INSERT INTO users (id, create_time) SELECT v.column1, v.column2 FROM {rows} WHERE true"
    " ON CONFLICT (id) DO NOTHING RETURNING id",
)
_FILL = Bulk(
    "users_fill",
    ("text", "text", "text", "integer", "text", "text", "text", "text", "text"),
    # Whom WeChat refused is tried again after a change of the entry (page 4.4).
    "UPDATE users SET kind = v.column2, name = v.column3, sex = v.column4,"
    " birthdate = v.column5, avatar = v.column6, openid = v.column7, team_code = v.column8,"
    " title = v.column9, push_refused = NULL FROM {rows} WHERE users.id = v.column1",
)


class Users:
    """SQL on ``users``, ``devices`` and ``revoked_tokens``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, user_id: str) -> User | None:
        """The entry, or a bare one for a mere participant; None for an unknown user."""
        found = self._db.row(f"SELECT {_USER} FROM users WHERE id = %s", (user_id,))
        sql = "SELECT count(*), max(active_time) FROM participants WHERE participant_id = %s"
        places = self._db.row(sql, (user_id,))
        acted = places[1] if places else None
        if found is not None:
            latest = max((t for t in (found[9], acted) if t is not None), default=None)
            return replace(User(*found), last_active_time=latest)
        if places and places[0]:
            return User(user_id, None, None, None, None, None, None, None, None, acted)
        return None

    def put(self, user_id: str, fields: dict[str, Any], now: int) -> bool:
        """Set these columns; True when the entry is new."""
        made = self._db.run(
            "INSERT INTO users (id, create_time) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING",
            (user_id, now),
        )
        names = [name for name in _SETTABLE if name in fields]
        if names:
            # Whom WeChat refused is tried again after a change of the entry (page 4.4).
            sets = ", ".join([*(f"{name} = %s" for name in names), "push_refused = NULL"])
            params = [*(fields[name] for name in names), user_id]
            self._db.run(f"UPDATE users SET {sets} WHERE id = %s", params)
        return made == 1

    def put_all(self, entries: Sequence[tuple[str, dict[str, Any]]], now: int) -> list[Result]:
        """Put many, one after another; what became of each. A row is only written to change it."""
        if not entries:
            return []
        # In one order, so that two who put the same people do not wait for each other.
        ids = sorted({user_id for user_id, _ in entries})
        new = {row[0] for row in self._db.rows_of(_BARE, [(user_id, now) for user_id in ids])}
        sql = (
            f"SELECT id, {', '.join(_SETTABLE)} FROM users WHERE id IN {marks(len(ids))}"
            f" ORDER BY id{self._db.lock}"
        )
        there = {
            row[0]: dict(zip(_SETTABLE, row[1:], strict=True)) for row in self._db.rows(sql, ids)
        }
        changed: set[str] = set()
        told: list[Result] = []
        for user_id, fields in entries:
            before = there[user_id]
            there[user_id] = after = {**before, **fields}
            if user_id in new:
                new.remove(user_id)
                told.append(CREATED)
            else:
                told.append(UNCHANGED if after == before else UPDATED)
            if after != before:
                changed.add(user_id)
        rows = [(user_id, *(there[user_id][name] for name in _SETTABLE)) for user_id in ids]
        rows = [row for row in rows if row[0] in changed]
        if rows:
            self._db.later_of(_FILL, rows)
        return told

    def patients(self, user_ids: Collection[str]) -> set[str]:
        """Which of these the directory calls patients."""
        sql = f"SELECT id FROM users WHERE kind = 'patient' AND id IN {marks(len(user_ids))}"
        return {row[0] for row in self._db.rows(sql, tuple(user_ids))}

    def touch(self, user_id: str, now: int) -> None:
        """The user did something outside any session."""
        sql = "UPDATE users SET last_active_time = %s WHERE id = %s"
        self._db.later(sql, (now, user_id))

    def consult_time(self, user_id: str) -> ConsultTime:
        """The three times of page 2.3, ``consult/time``."""
        # In which sessions the user has topics is told by the user's tallies, which is the latest
        # by the newest of the list; neither is looked for among the topics themselves.
        told = self._db.row(
            "SELECT max(CASE WHEN p.session_id IN (SELECT y.session_id FROM participant_tallies y"
            " WHERE y.participant_id = %s AND y.unreplied + y.ongoing + y.replied + y.expired > 0)"
            " THEN p.active_time END), max(p.reply_time)"
            " FROM participants p WHERE p.participant_id = %s",
            (user_id, user_id),
        )
        started = self._db.row(
            "SELECT t.create_time FROM participant_topics t WHERE t.participant_id = %s"
            " ORDER BY t.create_time DESC, t.topic_id DESC LIMIT 1",
            (user_id,),
        )
        acted, replied = told or (None, None)
        return ConsultTime(user_id, acted, started[0] if started else None, replied)

    # ---- devices

    def register_device(self, device: Device) -> None:
        """A device speaks for one user at a time: the newest login takes it over."""
        self._db.run(
            "DELETE FROM devices WHERE client_id = %s AND user_id <> %s",
            (device.client_id, device.user_id),
        )
        self._db.run(
            f"INSERT INTO devices ({_DEVICE}) VALUES {marks(6)}"
            " ON CONFLICT (user_id, client_id) DO UPDATE SET platform = excluded.platform,"
            " token = excluded.token, app_state = excluded.app_state,"
            " login_time = excluded.login_time",
            (
                device.user_id,
                device.client_id,
                device.platform,
                device.token,
                device.app_state,
                device.login_time,
            ),
        )

    def forget_devices(self, user_id: str, client_id: str | None) -> None:
        """That device, or all of the user's without ``client_id``."""
        sql, params = "DELETE FROM devices WHERE user_id = %s", [user_id]
        if client_id is not None:
            sql += " AND client_id = %s"
            params.append(client_id)
        self._db.run(sql, params)

    def newest_device(self, user_id: str, client_id: str | None = None) -> Device | None:
        sql, params = f"SELECT {_DEVICE} FROM devices WHERE user_id = %s", [user_id]
        if client_id is not None:
            sql += " AND client_id = %s"
            params.append(client_id)
        found = self._db.row(sql + " ORDER BY login_time DESC, client_id DESC LIMIT 1", params)
        return Device(*found) if found else None

    def set_app_state(self, user_id: str, client_id: str, app_state: str) -> None:
        sql = "UPDATE devices SET app_state = %s WHERE user_id = %s AND client_id = %s"
        self._db.later(sql, (app_state, user_id, client_id))

    # ---- tokens given back

    def revoke(self, fingerprint: str, expires_at: int) -> None:
        """Remember until its own end that a token is not valid any more."""
        self._db.run(
            "INSERT INTO revoked_tokens (fingerprint, expire_time) VALUES (%s, %s)"
            " ON CONFLICT (fingerprint) DO NOTHING",
            (fingerprint, expires_at),
        )
