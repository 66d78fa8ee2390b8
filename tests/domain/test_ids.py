"""Pages 2.1 and 2.8: what an id may look like, and which words are taken."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.domain.errors import ReservedId
from imd.domain.ids import Id, MessageId, SessionId, TopicId, UserId

KINDS = [SessionId, TopicId, UserId, MessageId]
each_kind = pytest.mark.parametrize("kind", KINDS)
RESERVED = {
    SessionId: "topics topic recent isExist sessionListByType sessionCountByType healthTopics"
    " healthTeamTopics topicListByType topicListCountByType unread_message_count . ..",
    TopicId: "current count . ..",
    UserId: "login logout avatars . ..",
    MessageId: ". ..",
}
#: every character that Unicode or Python calls white space, and every control character
BLANK = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if chr(code).isspace() or unicodedata.category(chr(code)) in ("Cc", "Zs", "Zl", "Zp")
]


@each_kind
@pytest.mark.parametrize(
    "good", ["D2016008240003", "a", "x" * 128, "居民", "a:b", "...", "a.b", "😀" * 128]
)
def test_an_id_has_1_to_128_characters(kind, good) -> None:
    made = kind.parse(good)
    assert made == good
    assert type(made) is kind


@each_kind
@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x" * 129,
        "a/b",
        "/",
        "a,b",
        ",",
        "a b",
        " a",
        "a ",
        "a\n",
        "a\r\n",
        "a\0",
        "a\x7f",
        "a\x85",
        "\u3000",
        "a\u2028",
        None,
        5,
        1.0,
        True,
        b"a",
        ["a"],
    ],
)
def test_anything_else_is_no_id(kind, bad) -> None:
    with pytest.raises(ValueError, match="1 to 128 characters"):
        kind.parse(bad)


@each_kind
def test_no_blank_or_control_character_is_in_an_id(kind) -> None:
    assert len(BLANK) > 80
    for blank in BLANK:
        for text in (blank, f"a{blank}", f"{blank}a", f"a{blank}b"):
            with pytest.raises(ValueError):
                kind.parse(text)


@each_kind
def test_the_words_of_the_routes_are_reserved(kind) -> None:
    for word in RESERVED[kind].split():
        with pytest.raises(ReservedId) as caught:
            kind.parse(word)
        assert caught.value.code == "reserved_id"
        assert [error.field for error in caught.value.errors] == [kind.field]
    others = {word for words in RESERVED.values() for word in words.split()}
    for word in others - set(RESERVED[kind].split()):
        assert kind.parse(word) == word
    assert kind.parse("Topics") == "Topics"


@given(st.text())
def test_whatever_passes_can_stand_in_a_path_and_in_a_comma_list(text) -> None:
    try:
        made = Id.parse(text)
    except (ValueError, ReservedId):
        return
    assert made == text
    assert 1 <= len(made) <= 128
    assert not set(made) & {*BLANK, "/", ","}
