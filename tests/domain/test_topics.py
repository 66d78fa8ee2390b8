"""Page 1.2: the states of a topic, and the message that answers it."""

from __future__ import annotations

import pytest

from imd.domain.message_types import MessageType
from imd.domain.topic import STATE_MARKS, STATES, Topic, answers

TABLE = [(0, 0, "unreplied"), (0, 1, "ongoing"), (10, 1, "replied"), (10, 0, "expired")]
NEW = Topic("t", "s", 1, None, None, None, 0, 0, None, 5, "P1", "m", 1, *[None] * 7)


def test_the_states_are_the_table() -> None:
    assert [(*STATE_MARKS[word], word) for word in STATES] == TABLE
    assert len(set(STATE_MARKS.values())) == len(STATES), "no two marks have the same word"


@pytest.mark.parametrize("type_", list(MessageType))
def test_only_a_counted_message_not_of_a_server_type_answers(type_) -> None:
    expected = type_ not in (6, 7, 10, 14, 2105)
    assert answers(type_, "D1", "doctor", "0", "P1") is expected


@pytest.mark.parametrize(
    ("sender", "kind", "role", "expected"),
    [
        ("D1", "doctor", "0", True),
        ("D1", None, "doctor", True),
        ("D1", None, "0", False),
        ("P1", "doctor", "doctor", False),
        ("P2", "patient", "patient", False),
        ("P2", None, None, False),
    ],
)
def test_a_doctor_who_did_not_start_it_answers(sender, kind, role, expected) -> None:
    assert answers(1, sender, kind, role, "P1") is expected


def test_the_answer_is_written_into_the_topic() -> None:
    answered = NEW.answered_by("D1", 77, "m9")
    assert (answered.reply, answered.reply_by, answered.reply_time, answered.reply_message_id) == (
        1, "D1", 77, "m9",
    )  # fmt: skip
    assert (answered.status, answered.start_by, answered.end_by) == (0, "P1", None)
