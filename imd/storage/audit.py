"""The audit trail: append-only rows whose hashes form a chain.

Notes gather while a transaction runs and are chained just before its commit, so the lock on the
chain's end is held for a moment only and always comes last. The command line reads and verifies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from imd.domain.audit import GENESIS, AuditEntry, Note
from imd.storage.engine import Connection, values

_COLUMNS = "seq, time, actor, action, object, detail, hash"
_WIDTH = 7
#: rows that a verification reads at a time
_STRIDE = 5_000


def chained(
    before: str, seq: int, time: int, actor: str, action: str, object_: str, detail: str
) -> str:
    """The hash (64 hex digits) of an entry that follows one with the hash ``before``."""
    fields = [before, seq, time, actor, action, object_, detail]
    return hashlib.sha256(json.dumps(fields, ensure_ascii=False).encode()).hexdigest()


def _text(detail: dict[str, object]) -> str:
    """A note's detail as it is stored and hashed."""
    return json.dumps(detail, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def chain_on(seq: int, before: str, note: Note) -> tuple[int, int, str, str, str, str, str]:
    """The row of a note that follows the entry ``seq`` with the hash ``before``."""
    row = (note.time, note.actor, str(note.act), note.target, _text(note.detail))
    return (seq + 1, *row, chained(before, seq + 1, *row))


class Flaw(NamedTuple):
    """The first entry that does not fit the chain, and why."""

    seq: int
    why: str


class Audit:
    """SQL on ``audit`` and on the one row of ``audit_end``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._notes: list[Note] = []

    def note(self, note: Note) -> None:
        """Write this act down with the transaction."""
        self._notes.append(note)

    def flush(self) -> None:
        """Chain what gathered; called once, when the transaction's work is done."""
        if not self._notes:
            return
        notes, self._notes = self._notes, []
        end = self._db.row(f"SELECT seq, hash FROM audit_end{self._db.lock}")
        seq, before = end or (0, GENESIS)
        params: list[Any] = []
        for note in notes:
            row = chain_on(seq, before, note)
            seq, before = row[0], row[-1]
            params += row
        self._db.later(f"INSERT INTO audit ({_COLUMNS}) {values(len(notes), _WIDTH)}", params)
        self._db.later("UPDATE audit_end SET seq = %s, hash = %s", (seq, before))

    def page(
        self, *, action: str | None, object_: str | None, since: int | None, limit: int
    ) -> list[AuditEntry]:
        """The newest entries, oldest first; ``action`` may hold ``*`` for any characters."""
        where, params = ["1 = 1"], list[Any]()
        if action is not None:
            where.append("action LIKE %s ESCAPE '!'")
            escaped = action.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
            params.append(escaped.replace("*", "%"))
        if object_ is not None:
            where.append("object = %s")
            params.append(object_)
        if since is not None:
            where.append("time >= %s")
            params.append(since)
        sql = f"SELECT {_COLUMNS} FROM audit WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT %s"
        return [AuditEntry(*row) for row in self._db.rows(sql, [*params, limit])][::-1]

    def verify(self) -> tuple[int, Flaw | None]:
        """How many entries hold, and the first that does not; needs the snapshot of a read."""
        before, count = GENESIS, 0
        for entry in self._all():
            if entry.seq != count + 1:
                return count, Flaw(count + 1, "the entry is missing")
            if chained(before, *entry[:6]) != entry.hash:
                return count, Flaw(entry.seq, "the entry was changed")
            before, count = entry.hash, count + 1
        end = self._db.row("SELECT seq, hash FROM audit_end")
        if end is None or tuple(end) != (count, before):
            return count, Flaw(count + 1, "the trail does not end where it says")
        return count, None

    def _all(self) -> Iterator[AuditEntry]:
        last = 0
        while True:
            sql = f"SELECT {_COLUMNS} FROM audit WHERE seq > %s ORDER BY seq LIMIT %s"
            found = self._db.rows(sql, (last, _STRIDE))
            for row in found:
                yield AuditEntry(*row)
            if len(found) < _STRIDE:
                return
            last = found[-1][0]
