"""What is done about a difference between the ledgers (page 7.2): planned, or carried out.

In imd the platform's value wins; the platform is written to only where that was asked for. Nobody
is put into a conversation that has a patient already: that is for a person to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from imd.actions.consults import ConsultBook, NewConsult
from imd.domain.audit import Act, Note
from imd.domain.errors import InvalidInput
from imd.domain.ids import TopicId, UserId, id_from_parts
from imd.domain.session import WITH_PATIENT, Head
from imd.domain.session_types import SESSION_TYPES, SessionType, holds_topics
from imd.domain.topic import ENDED, LIVE, Topic
from imd.ledger.platform import Entry, NewEntry, Platform
from imd.ledger.reconciling import Difference, Outcome

#: a repair that cannot be made, and one that needs --write-platform
BLOCKED: Final = "blocked"
_FIELDS: Final = ("type", "team_code", "create_time", "end_time")


class Wishes(NamedTuple):
    """What may be done: nothing, imd's side, the platform's side too."""

    apply: bool = False
    write_platform: bool = False


class Repairs:
    """Called with each difference; ``now`` gives ms, ``actor`` stands in the audit trail."""

    def __init__(
        self,
        book: ConsultBook,
        platform: Platform,
        wishes: Wishes,
        now: Callable[[], int],
        actor: str,
    ) -> None:
        self._book, self._platform, self._wishes = book, platform, wishes
        self._now, self._actor = now, actor

    def __call__(self, difference: Difference) -> Outcome:
        """The name of the repair, and whether it was made."""
        return {
            "missing_in_imd": self._make,
            "ended_in_platform_only": self._end,
            "fields_differ": self._change,
            "missing_in_platform": self._insert,
            "missing_team_row": self._insert_team,
            "ended_in_imd_only": self._close,
        }[difference.cls](difference)

    def _note(self, act: Act, code: str, **detail: Any) -> Note:
        return Note(self._now(), self._actor, act, code, detail)

    # ---- imd's side

    def _make(self, difference: Difference) -> Outcome:
        entry = difference.entry
        assert entry is not None
        new = new_consult(entry)
        if new is None:
            return BLOCKED, False
        if not self._wishes.apply:
            return "make_topic", False
        note = self._note(Act.RECONCILE_MADE, entry.code, session_id=new.head.id)
        made = self._book.make(new, note)
        return ("make_topic" if made else BLOCKED), made

    def _end(self, difference: Difference) -> Outcome:
        entry, consult = difference.entry, difference.consult
        assert entry is not None and consult is not None
        if not self._wishes.apply:
            return "end_topic", False
        time = entry.end_time if entry.end_time is not None else self._now()
        note = self._note(Act.RECONCILE_ENDED, entry.code, session_id=consult.session_id)
        return "end_topic", self._book.end(entry.code, time, note)

    def _change(self, difference: Difference) -> Outcome:
        consult = difference.consult
        assert consult is not None
        fields = {n: pair[1] for n, pair in difference.fields.items() if n in _FIELDS}
        patient = difference.fields.get("patient")
        stays = patient is not None and (patient[0] is not None or not _is_user(patient[1]))
        if not fields and stays:
            return BLOCKED, False
        if self._wishes.apply:
            note = self._note(
                Act.RECONCILE_CHANGED,
                consult.code,
                session_id=consult.session_id,
                fields=sorted(fields if stays else difference.fields),
            )
            joining = patient[1] if patient is not None and not stays else None
            if not self._book.change(consult.code, fields, joining, note):
                return BLOCKED, False
        return (BLOCKED if stays else "set_fields"), self._wishes.apply and not stays

    # ---- the platform's side

    def _insert(self, difference: Difference) -> Outcome:
        new = self._entry(difference)
        return self._write(
            "insert_consult",
            Act.RECONCILE_INSERTED,
            difference,
            lambda: self._platform.insert(new, consult=True),
        )

    def _insert_team(self, difference: Difference) -> Outcome:
        new = self._entry(difference)
        return self._write(
            "insert_team_row",
            Act.RECONCILE_TEAM,
            difference,
            lambda: self._platform.insert(new, consult=False),
        )

    def _close(self, difference: Difference) -> Outcome:
        consult = difference.consult
        assert consult is not None
        time = consult.end_time if consult.end_time is not None else self._now()
        return self._write(
            "end_consult",
            Act.RECONCILE_CLOSED,
            difference,
            lambda: self._platform.end(consult.code, time),
        )

    def _write(
        self, name: str, act: Act, difference: Difference, work: Callable[[], None]
    ) -> Outcome:
        if not self._wishes.write_platform:
            return name, False
        assert difference.consult is not None
        note = self._note(act, difference.code, session_id=difference.consult.session_id)
        self._book.note(note, work)
        return name, True

    def _entry(self, difference: Difference) -> NewEntry:
        consult, entry = difference.consult, difference.entry
        assert consult is not None
        doctor = consult.reply_by
        if doctor is None and self._wishes.write_platform:
            doctor = self._book.doctors_of([consult.code]).get(consult.code)
        patient = consult.patients[0] if consult.patients else None
        return NewEntry(
            consult.code,
            entry.patient if entry is not None else patient,
            entry.type if entry is not None else consult.type,
            consult.status == ENDED,
            consult.create_time,
            consult.end_time,
            consult.team_code,
            doctor,
        )


def _is_user(text: object) -> bool:
    try:
        UserId.parse(text)
    except (ValueError, InvalidInput):
        return False
    return True


def new_consult(entry: Entry) -> NewConsult | None:
    """A consult of the platform as a topic with its session; None when its parts do not allow it.

    The session's type is the consult's where there is such a type, else the family doctor's; its
    id is made by the rule of page 1.3.
    """
    team = entry.teams[0] if entry.teams else None
    type_ = session_type(entry.type)
    members = [(entry.patient, "patient")] if entry.patient else []
    members += [(team.doctor, "doctor")] if team is not None and team.doctor else []
    parts = {
        "patient": entry.patient,
        "team_code": (team.team or team.admin_team_code) if team is not None else None,
        "consult_code": entry.code,
        "consult_type": str(entry.type) if entry.type is not None else None,
        "doctor": team.doctor if team is not None else None,
    }
    try:
        TopicId.parse(entry.code)
        session_id = id_from_parts(type_, parts)
        seats = [(str(UserId.parse(user_id)), role) for user_id, role in members]
    except (ValueError, InvalidInput):
        return None
    if not entry.patient:
        return None
    made = entry.czrq or 0
    head = Head(
        session_id, None, type_, WITH_PATIENT, 0, made, 0, 0, 0, None, None, None, None, 0
    )  # fmt: skip
    topic = Topic(
        id=entry.code,
        session_id=session_id,
        session_type=type_,
        name=None,
        description=None,
        type=entry.type,
        status=ENDED if entry.ended else LIVE,
        reply=0,
        team_code=team.admin_team_code if team is not None else None,
        create_time=made,
        start_by=entry.patient,
        start_message_id=None,
        start_seq=None,
        reply_by=None,
        reply_time=None,
        reply_message_id=None,
        end_by=None,
        end_time=entry.end_time if entry.ended else None,
        end_message_id=None,
        end_seq=None,
    )
    return NewConsult(head, seats, topic)


def session_type(consult_type: int | None) -> int:
    """The type of the session in which consults of this type are held.

    From 8 on the two count alike; the family doctor's consults are of the lower types.
    """
    if consult_type in SESSION_TYPES and consult_type >= SessionType.PRESCRIPTION_RENEWAL:
        return int(consult_type) if holds_topics(consult_type) else int(SessionType.FAMILY_CONSULT)
    return int(SessionType.FAMILY_CONSULT)
