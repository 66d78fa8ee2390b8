"""Page 2.1: forms and queries, names in both styles, aliases, and lists in all their dresses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.errors import BadRequest, ImError, InvalidInput, ReservedId
from imd.wire import frames, messages, participants, sessions, topics, users
from imd.wire.codec import MOST_FIELDS, convert, parse_form, snake_names
from imd.wire.fields import Request


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1&a=2&b=3&a=4", {"a": ["1", "2", "4"], "b": "3"}),
        (b"a=", {"a": ""}),
        (b"a", {"a": ""}),
        (b"a=x+y%20z", {"a": "x y z"}),
        ("a=%E5%BC%A0&b=李".encode(), {"a": "张", "b": "李"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
        (b"a=%", {"a": "%"}),
        (b"=x", {"": "x"}),
    ],
)
def test_a_form_is_read(raw, fields) -> None:
    assert parse_form(raw) == fields


@pytest.mark.parametrize("raw", [b"a=%ff", b"a=%ED%A0%80", b"\xff=1", "é=1".encode("latin-1")])
def test_a_form_that_is_not_utf8_is_refused(raw) -> None:
    with pytest.raises(BadRequest):
        parse_form(raw)


@pytest.mark.parametrize("raw", [b"a=%00", b"a%00b=1", b"a=x\x00"])
def test_a_form_with_u0000_is_refused(raw) -> None:
    with pytest.raises(InvalidInput):
        parse_form(raw)


def test_a_form_has_a_limit_of_fields() -> None:
    assert len(parse_form(b"&".join(b"f%d=1" % n for n in range(MOST_FIELDS)))) == MOST_FIELDS
    with pytest.raises(BadRequest):
        parse_form(b"a=1&" * (MOST_FIELDS + 1))


@given(st.binary(max_size=100))
def test_any_form_is_read_or_refused(raw) -> None:
    with contextlib.suppress(ImError):
        parse_form(raw)


# ---- names


def test_every_name_is_also_taken_in_camel_case() -> None:
    for module in (messages, participants, sessions, topics, users, frames):
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, Request):
                for name in model.__struct_fields__:
                    first, *rest = name.split("_")
                    camel = first + "".join(word.capitalize() for word in rest)
                    assert snake_names({camel: 1}) == {name: 1}


def test_the_snake_case_value_wins_whatever_comes_first() -> None:
    assert snake_names({"sessionId": "a", "session_id": "b"}) == {"session_id": "b"}
    assert snake_names({"session_id": "b", "sessionId": "a"}) == {"session_id": "b"}


def post(**fields: object) -> messages.PostMessage:
    return convert({"session_id": "s", "content": "x", **fields}, messages.PostMessage)


def test_content_type_is_another_name_of_type() -> None:
    assert post(content_type=2).type == post(contentType="2").type == post(type=2).type == 2
    assert post(content_type=3, type=2).type == 2


def test_the_singular_names_of_replace_are_taken() -> None:
    for old, new in (
        ("old_participant_id", "newParticipantId"),
        ("oldParticipantIds", "new_participant_ids"),
    ):
        got = convert({"session_id": "s", old: "A", new: "B,C"}, participants.ReplaceParticipants)
        assert got.old_participant_ids == ("A",)
        assert got.new_participant_ids == ("B", "C")


def test_unknown_fields_are_ignored() -> None:
    assert post(type=1, anything={"x": []}, _=1).type == 1


@pytest.mark.parametrize("model", [sessions.OpenSession, topics.StartTopicInSession])
def test_an_empty_session_id_is_an_absent_one(model) -> None:
    base = {
        "session_type": 2,
        "session_name": "n",
        "participants": ["A"],
        "topic_id": "t",
        "start_by": "A",
    }
    assert convert({**base, "session_id": ""}, model).session_id is None
    assert convert({**base, "sessionId": ""}, model).session_id is None
    with pytest.raises(InvalidInput):
        convert({**base, "session_id": " "}, model)


# ---- lists


def opened(value: object) -> object:
    fields = {"session_type": "2", "session_name": "n", "participants": value}
    return convert(fields, sessions.OpenSession).participants


@pytest.mark.parametrize(
    ("value", "seats"),
    [
        (["A:doctor", "B"], [("A", "doctor"), ("B", "0")]),
        ([{"id": "A", "role": "r"}, {"id": "B"}], [("A", "r"), ("B", "0")]),
        ([{"id": "A", "role": 5}], [("A", "5")]),
        ('["A:doctor","B"]', [("A", "doctor"), ("B", "0")]),
        ('[{"id":"A","role":"r"}]', [("A", "r")]),
        ("A:doctor", [("A", "doctor")]),
        ("A", [("A", "0")]),
        (["A:1", "B:2", "A:3"], [("A", "3"), ("B", "2")]),
        ([], []),
        ("[]", []),
    ],
)
def test_participants_in_every_dress(value, seats) -> None:
    assert list(opened(value)) == seats  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[",
        '["A"',
        "[NaN]",
        '["\\ud800"]',
        [5],
        [None],
        [["A"]],
        [{}],
        [{"id": 5}],
        [{"id": "A", "role": "r" * 33}],
        [{"id": "A", "role": ""}],
        {"id": "A"},
        5,
        None,
        True,
        ["A"] * 501,
        "A b",
        [""],
        '[["A"]]',
        "[" * 5000,
    ],
)
def test_other_participants_are_refused_by_name(value) -> None:
    with pytest.raises(InvalidInput) as caught:
        opened(value)
    assert caught.value.errors[0].field.startswith("participants")


def test_500_participants_are_taken_and_a_reserved_one_is_not() -> None:
    assert len(opened([f"U{n}" for n in range(500)])) == 500  # type: ignore[arg-type]
    with pytest.raises(ReservedId):
        opened(["login"])


def types(value: object) -> object:
    return convert({"type": value}, sessions.ListSessionsByType).type


@pytest.mark.parametrize("value", ["1,9", [1, 9], ["1", "9"], "[1,9]", '["1","9"]', "1, 9"])
def test_type_lists_in_every_dress(value) -> None:
    assert types(value) == (1, 9)


@pytest.mark.parametrize(
    "value",
    ["", ",", "1,", "a", "1.5", [1.5], [True], [None], [[1]], {}, None, "[", "9" * 30, "-1,x"],
)
def test_other_type_lists_are_refused(value) -> None:
    with pytest.raises(InvalidInput) as caught:
        types(value)
    assert caught.value.errors[0].field == "type"


# ---- sizes and numbers


@pytest.mark.parametrize("size", [1, 200, "1", "200"])
def test_a_size_from_1_to_200(size) -> None:
    assert convert({"size": size}, sessions.ListSessions).size == int(size)
    assert convert({}, sessions.ListSessions).size == 20


@pytest.mark.parametrize(
    "size", [0, 201, -1, "0", "201", "x", "", 1.5, "1.5", 2**63 - 1, "9" * 40, [1], {}]
)
def test_a_size_outside_is_refused_by_name(size) -> None:
    with pytest.raises(InvalidInput) as caught:
        convert({"size": size}, sessions.ListSessions)
    assert caught.value.errors[0].field == "size"


@pytest.mark.parametrize("field", ["before", "after"])
@pytest.mark.parametrize(
    ("value", "seq", "message_id"),
    [
        (0, 0, None),
        ("0", 0, None),
        (7, 7, None),
        ("7", 7, None),
        (2**63 - 1, 2**63 - 1, None),
        ("0198c0de", None, "0198c0de"),
        ("9" * 32, None, "9" * 32),
        ("abc", None, "abc"),
    ],
)
def test_a_place_is_a_seq_or_a_message_id(field, value, seq, message_id) -> None:
    place = getattr(convert({"session_id": "s", field: value}, messages.ListMessages), field)
    assert (place.seq, place.message_id) == (seq, message_id)


@pytest.mark.parametrize("field", ["before", "after"])
@pytest.mark.parametrize(
    "value", [-1, "-1", "-99999999999999999999", "9" * 19, True, 1.5, "", "a b", [], {}]
)
def test_a_negative_or_senseless_place_is_refused(field, value) -> None:
    with pytest.raises(InvalidInput) as caught:
        convert({"session_id": "s", field: value}, messages.ListMessages)
    assert caught.value.errors[0].field == field


@pytest.mark.parametrize("seq", [-1, "-1", 2**63, "9" * 30, 1.5, "x", []])
def test_a_negative_or_senseless_seq_is_refused(seq) -> None:
    with pytest.raises(InvalidInput) as caught:
        convert({"session_id": "s", "seq": seq}, messages.MarkRead)
    assert caught.value.errors[0].field == "seq"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sender_name", ""),
        ("sender_name", "x" * 256),
        ("client_msg_id", ""),
        ("client_msg_id", "x" * 129),
        ("client_msg_id", "a\n"),
        ("client_msg_id", "\x7f"),
        ("sender_id", "a b"),
        ("topic_id", "x" * 129),
        ("business_type", 3),
        ("type", "text"),
    ],
)
def test_a_refused_field_is_named(field, value) -> None:
    with pytest.raises(InvalidInput) as caught:
        post(**{"type": 1, field: value})
    assert [error.field for error in caught.value.errors] == [field]


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        convert({"session_id": "s"}, messages.PostMessage)
    assert caught.value.errors == (("type", "is required"),)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["null", "true", "[", "-0"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
MODELS = [
    messages.PostMessage,
    messages.ListMessages,
    messages.EditMessage,
    messages.MarkRead,
    sessions.OpenSession,
    sessions.ListRecentSessions,
    sessions.SetSessionStatus,
    participants.ReplaceParticipants,
    topics.StartTopicInSession,
    topics.ListTopics,
    topics.EndTopic,
    users.Login,
    users.PutUser,
    frames.SendParams,
    frames.LoginParams,
]


@given(st.sampled_from(MODELS), st.data())
def test_whatever_is_given_a_model_or_a_refusal_comes_out(model, data) -> None:
    fields = {
        name: data.draw(values) for name in model.__struct_fields__ if data.draw(st.booleans())
    }
    with contextlib.suppress(ImError):
        convert(fields, model)
