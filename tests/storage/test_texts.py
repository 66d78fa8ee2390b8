"""Page 1.2: content is returned exactly as sent, through the database and its own quoting."""

from __future__ import annotations

import random

import pytest
import pytest_twisted

from imd.domain.ids import UserId
from imd.domain.message import Card, Content
from imd.storage.postgres import literal
from tests.storage.ground import Ground, HandClock, together

NASTY = [
    "", " ", "NULL", "null", '"', '""', "\\", "\\\\", '\\"', "'", "''", "{", "}", "{}", '{"a","b"}',
    ",", "a,b", "%", "%s", "%(x)s", "%%", "$1", "?", ";", "-- x", "/*",
    "\n", "\r\n", "\t", "\x01", "\x7f",
    "\\n", "\\x41", "E'x'", "张三", "😀👨\u200d👩\u200d👧", "\u2028", "\ufeff",
    "\ufffe", "\U0010ffff",
    "x" * 60_000, "');DROP TABLE messages;--", "\u202eabc", "a\u0300", "COMMIT", "NaN", "1e5", "0",
]  # fmt: skip


def shuffled(seed: int) -> list[str]:
    """Random texts over the signs that quoting could trip over."""
    chance = random.Random(seed)
    letters = "\"'\\{},%$?;:()[] \n\t\x01ab张😀NUL"
    return ["".join(chance.choices(letters, k=chance.randrange(40))) for _ in range(300)]


@pytest.mark.parametrize("texts", [NASTY, shuffled(1)], ids=["nasty", "random"])
@pytest_twisted.ensureDeferred
async def test_every_text_comes_back(ground: Ground, texts) -> None:
    await ground.session("s", "A", "B")
    contents: list[Content] = [*texts, *(Card(text) for text in texts)]
    posted = await together(
        [ground.send("s", "A", content, sender_name=str(content)[:255]) for content in contents]
    )
    log = await ground.log("s")
    assert [m.content for m in log] == contents
    assert [type(m.content) for m in log] == [type(content) for content in contents]
    assert [m.sender_name for m in log] == [str(content)[:255] for content in contents]
    assert [p.message for p in posted] == log


@pytest.mark.parametrize("texts", [NASTY, shuffled(2)[:60]], ids=["nasty", "random"])
@pytest_twisted.ensureDeferred
async def test_every_text_comes_back_from_a_batch_of_its_own(ground: Ground, texts) -> None:
    """A batch of one has a plan and a quoting of its own."""
    await ground.session("s", "A", "B")
    for text in texts:
        await ground.send("s", "A", text, sender_name=text[:255])
    log = await ground.log("s")
    assert [m.content for m in log] == texts
    assert [m.sender_name for m in log] == [text[:255] for text in texts]


def test_no_text_ends_its_own_quotes() -> None:
    assert literal("a'b\\") == "'a''b\\'"
    assert (literal(None), literal(-1)) == ("NULL", "-1")
    with pytest.raises(ValueError, match="NUL"):
        literal("a\x00b")


@pytest_twisted.ensureDeferred
async def test_every_key_and_id_comes_back(ground: Ground) -> None:
    ids = [text for text in NASTY if text.isprintable() and not set(text) & set(" ,/") and text][
        :40
    ]
    ids = [id_ for id_ in ids if len(id_) <= 128]
    for id_ in ids:
        await ground.session(f"s{id_}", id_, "B")
    keys = [{"client_msg_id": id_, "topic_id": None} for id_ in ids]
    sends = [ground.send(f"s{id_}", id_, id_, **key) for id_, key in zip(ids, keys, strict=True)]
    first = await together(sends)
    again = await together(
        [ground.send(f"s{id_}", id_, id_, **key) for id_, key in zip(ids, keys, strict=True)]
    )
    assert [(p.message, p.replayed) for p in again] == [(p.message, True) for p in first]
    for id_ in ids:
        [message] = await ground.log(f"s{id_}")
        assert (message.sender_id, message.client_msg_id, message.content) == (id_, id_, id_)
        assert (await ground.mark(f"s{id_}", "B")).read_seq == 1


@pytest_twisted.ensureDeferred
async def test_the_environment_does_not_change_what_a_text_is(
    postgres_copy: str, monkeypatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "GBK")
    ground = await Ground(postgres_copy, HandClock()).open()
    try:
        await ground.session("s", "A", "B")
        await ground.send("s", "A", "张三's")
        assert [m.content for m in await ground.log("s")] == ["张三's"]
    finally:
        await ground.close()


@pytest_twisted.ensureDeferred
async def test_whole_tables_of_texts_come_back(ground: Ground) -> None:
    """Ids are texts of a class of their own, and are quoted like any other."""
    texts = [*NASTY, *shuffled(3), *map(UserId, NASTY)]
    columns = ("n", "table_name", "key", "session_id", "reason")
    rows = [(n, "t", text, None, "r") for n, text in enumerate(texts)]
    await ground.store.database.write(
        lambda tx: tx.connection.load("legacy_rejects", columns, rows)
    )
    assert await ground.rows("SELECT key FROM legacy_rejects ORDER BY n") == [(t,) for t in texts]
