"""Pages 1.4 and 2.5: contents that are checked, changing a card, taking a message back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.errors import (
    InvalidInput,
    NotEditable,
    NotTheSender,
    RecallWindowPassed,
    VersionConflict,
)
from imd.domain.message import (
    Card,
    LastMessage,
    Message,
    check_content,
    check_edit,
    check_recall,
    fingerprint,
)

CARD = Message("m1", "s1", 3, None, "D1", "张", 25, Card("{}"), 5000, None, 1, 4, False)
BUNDLE = {"source": "zsyy", "messageids": "a,b", "title": "t", "sessionType": 1}
REFRESH = {"message_id": "m", "version": 2}


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (19, BUNDLE),
        (19, {**BUNDLE, "sessionType": "13", "more": [1]}),
        (19, {**BUNDLE, "messageids": "one"}),
        (29, {"answer_status": 0}),
        (29, {"answer_status": 1, "room": "x"}),
        (2105, REFRESH),
        (1, "text"),
        (27, {"anything": [None, {"deep": True}]}),
        (20, 5),
        (24, False),
    ],
)
def test_good_contents_pass(type_, value) -> None:
    check_content(type_, value)


@pytest.mark.parametrize(
    "value",
    [
        "text",
        5,
        None,
        [],
        {},
        *({k: v for k, v in BUNDLE.items() if k != gone} for gone in BUNDLE),
        {**BUNDLE, "source": 5},
        {**BUNDLE, "title": None},
        {**BUNDLE, "messageids": ["a"]},
        {**BUNDLE, "messageids": ""},
        {**BUNDLE, "messageids": "a,,b"},
        {**BUNDLE, "messageids": "a, "},
        {**BUNDLE, "sessionType": "one"},
        {**BUNDLE, "sessionType": True},
        {**BUNDLE, "sessionType": 1.5},
        {**BUNDLE, "sessionType": None},
        {**BUNDLE, "sessionType": ""},
    ],
)
def test_a_forward_bundle_has_its_four_fields(value) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_content(19, value)
    assert [error.field for error in caught.value.errors] == ["content"]


@pytest.mark.parametrize(
    "value",
    [
        "asked",
        0,
        None,
        [],
        {},
        {"answer_status": 2},
        {"answer_status": "0"},
        {"answer_status": True},
        {"answer_status": False},
        {"answer_status": None},
        {"answer_status": [0]},
        {"answer_status": {}},
    ],
)
def test_a_video_request_is_asked_or_taken(value) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_content(29, value)
    assert [error.field for error in caught.value.errors] == ["content"]


@pytest.mark.parametrize(
    "value",
    [
        "x",
        {},
        {"message_id": "m"},
        {"version": 1},
        {"message_id": 5, "version": 1},
        {"message_id": "m", "version": "1"},
        {"message_id": "m", "version": True},
        {"message_id": "m", "version": 1.5},
    ],
)
def test_a_card_refresh_names_a_message_and_its_version(value) -> None:
    with pytest.raises(InvalidInput):
        check_content(2105, value)


# ---- PUT


def test_sender_and_service_change_a_card() -> None:
    for editor in ("D1", None):
        for version in (None, 4):
            check_edit(CARD, editor, version)


def test_nobody_else_changes_a_card() -> None:
    with pytest.raises(NotTheSender):
        check_edit(CARD, "D2", None)


@pytest.mark.parametrize("type_", [*range(15), 2105])
def test_types_below_15_and_the_servers_are_not_editable(type_) -> None:
    for editor in ("D1", None):
        with pytest.raises(NotEditable):
            check_edit(replace(CARD, type=type_), editor, None)


def test_a_recalled_card_is_not_editable() -> None:
    with pytest.raises(NotEditable):
        check_edit(replace(CARD, recalled=True, content=None), None, None)


@pytest.mark.parametrize("stale", [0, 3, 5])
def test_a_stale_version_is_a_conflict_that_names_the_present_one(stale) -> None:
    with pytest.raises(VersionConflict) as caught:
        check_edit(CARD, "D1", stale)
    assert caught.value.extra == {"version": 4}


# ---- DELETE


@pytest.mark.parametrize(
    ("age", "window", "good"),
    [
        (0, 120_000, True),
        (120_000, 120_000, True),
        (120_001, 120_000, False),
        (-3_600_000, 120_000, True),
        (1, 0, False),
        (0, 0, True),
    ],
)
def test_a_sender_recalls_within_the_window(age, window, good) -> None:
    now = CARD.timestamp + age
    if good:
        check_recall(CARD, "D1", now, window)
    else:
        with pytest.raises(RecallWindowPassed):
            check_recall(CARD, "D1", now, window)


def test_a_service_recalls_any_time_and_a_stranger_never() -> None:
    check_recall(CARD, None, 10**15, 0)
    with pytest.raises(NotTheSender):
        check_recall(CARD, "D2", CARD.timestamp, 120_000)


# ---- the rest


def test_a_last_message_is_the_message_shortened() -> None:
    assert LastMessage.of(CARD) == LastMessage("m1", 3, "D1", "张", 25, Card("{}"), 5000)


contents = st.one_of(st.text(), st.text().map(Card))


@given(st.integers(0, 40), contents, st.integers(0, 40), contents)
def test_two_sends_are_the_same_when_type_and_content_are(one, first, other, second) -> None:
    same = (one, type(first), first) == (other, type(second), second)
    assert (fingerprint(one, first) == fingerprint(other, second)) is same


def test_a_text_and_a_card_of_the_same_letters_differ() -> None:
    assert fingerprint(1, "5") != fingerprint(1, Card("5"))
    assert fingerprint(1, "1s") != fingerprint(11, "s")
