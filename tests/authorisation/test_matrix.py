"""Every route for every caller and object: the answer is the table's, and nothing else leaks."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from imd.rest.routes import ROUTES
from tests.authorisation.asking import BY_NAME, Cell
from tests.authorisation.table import (
    CALLERS,
    KEYS,
    MEMBERS,
    NEEDS_USER,
    OBJECTS,
    REST,
    TELLS,
    USERS,
    VERDICTS,
    Verdict,
)
from tests.authorisation.world import (
    MINE,
    PEOPLE,
    STRANGER,
    THEIRS,
    Told,
    World,
    cells,
    letter,
)
from tests.e2e.server import Imd


class Play(NamedTuple):
    """The whole table as it was played, and the shared scenes before and after."""

    told: dict[str, list[Told]]
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def play(server: tuple[Imd, dict[str, str]]) -> Play:
    async def run() -> Play:
        imd, keys = server
        async with World(imd.port, keys) as world:
            await world.prepare()
            before = {name: await world.picture(scene) for name, scene in world.shared.items()}
            told: dict[str, list[Told]] = {row: [] for row in REST}
            for one in await world.play_all(cells()):
                told[one.cell.row].append(one)
            after = {name: await world.picture(scene) for name, scene in world.shared.items()}
            return Play(told, before, after)

    return asyncio.run(run())


def test_every_route_has_a_row() -> None:
    assert {row.split()[0] for row in REST} == {route.name for route in ROUTES}


def test_every_row_is_whole() -> None:
    for row, columns in REST.items():
        assert len(columns) == len(OBJECTS), row
        assert {len(column) for column in columns} == {len(CALLERS)}, row
        assert {*"".join(columns)} <= set(VERDICTS), row


@pytest.mark.parametrize("row", REST)
def test_each_caller_is_answered_as_the_table_says(play: Play, row: str) -> None:
    wrong = []
    for told in play.told[row]:
        cell, answer = told.cell, told.answer
        expected = VERDICTS[letter(REST, row, cell.caller, cell.object)]
        code = answer.json.get("code") if answer.status >= 400 else None
        if Verdict(answer.status, code) != expected:
            wrong.append(f"{cell.verb} {cell.path} by {cell.caller} on {cell.object}:"
                         f" {answer.status} {code}, not {expected.status} {expected.code}:"
                         f" {answer.raw[:200]!r}")  # fmt: skip
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("row", REST)
def test_no_answer_brings_a_canary_to_whom_may_not_see_it(play: Play, row: str) -> None:
    for told in play.told[row]:
        caller, raw = told.cell.caller, told.answer.raw
        if caller not in KEYS:
            assert THEIRS.encode() not in raw, told.cell
        if caller not in KEYS and caller not in MEMBERS:
            assert MINE.encode() not in raw, told.cell


@pytest.mark.parametrize("row", [row for row in REST if row not in TELLS])
def test_to_a_user_what_it_may_not_see_is_what_does_not_exist(play: Play, row: str) -> None:
    by_place = {(t.cell.caller, t.cell.object, t.cell.verb, t.cell.path): t for t in play.told[row]}
    for (caller, object_, verb, path), told in by_place.items():
        if caller not in USERS or object_ == "nothing":
            continue
        hidden = object_ == "theirs" or caller not in MEMBERS
        about_itself = object_ == "mine" and told.answer.status < 400
        if not hidden or about_itself:
            continue
        absent = by_place[caller, "nothing", verb, path]
        assert told.plain() == absent.plain(), told.cell


def test_the_canaries_sing_to_those_who_may_hear_them(play: Play) -> None:
    """Else the tests above would prove nothing."""
    seen = {
        (told.cell.caller, word)
        for found in play.told.values()
        for told in found
        for word in (MINE, THEIRS)
        if word.encode() in told.answer.raw
    }
    assert seen == {(c, MINE) for c in (*MEMBERS, *KEYS)} | {(c, THEIRS) for c in KEYS}


@pytest.mark.parametrize("name", ["mine", "theirs"])
def test_a_refused_change_changes_nothing(play: Play, name: str) -> None:
    assert play.before[name] == play.after[name]


def test_whether_a_session_exists_is_told_to_its_members_and_to_keys(play: Play) -> None:
    for told in play.told["session_exists"]:
        if told.answer.status == 200:
            caller, object_ = told.cell.caller, told.cell.object
            known = caller in KEYS if object_ == "theirs" else caller in (*MEMBERS, *KEYS)
            assert told.answer.json["exists"] is (object_ != "nothing" and known), told.cell


# ---- what the columns of the table do not show


def _ask(
    server: tuple[Imd, dict[str, str]], wanted: list[Cell], without: str = "", **more: str
) -> list[Told]:
    async def run() -> list[Told]:
        async with World(server[0].port, server[1]) as world:
            await world.prepare()
            return await world.play_all(wanted, without, more)

    return asyncio.run(run())


def test_a_key_must_name_a_user_where_the_answer_is_personal(
    server: tuple[Imd, dict[str, str]],
) -> None:
    wanted = [cell for cell in cells() if (cell.caller, cell.object) == ("admin key", "mine")]
    for told in _ask(server, wanted, without="user_id sender_id"):
        refused = told.answer.status == 422
        assert refused is (told.cell.row in NEEDS_USER), (told.cell, told.answer)


def test_a_key_that_names_somebody_who_is_no_member_is_told_so(
    server: tuple[Imd, dict[str, str]],
) -> None:
    wanted = [
        cell
        for cell in cells()
        if (cell.caller, cell.object) == ("admin key", "mine")
        and {"{session_id}", "{topic_id}"} & set(cell.path.split("/"))
    ]
    for told in _ask(server, wanted, "sender_id", user_id=STRANGER):
        code = told.answer.json.get("code")
        assert Verdict(told.answer.status, code) == VERDICTS["N"], (told.cell, told.answer)


def test_who_was_removed_does_not_get_its_own_message_back_by_its_key(
    server: tuple[Imd, dict[str, str]],
) -> None:
    """A repeat under an old ``client_msg_id`` is answered to members only."""
    cell = Cell("post_message", "removed member", "mine", "POST", BY_NAME["post_message"].path)
    (told,) = _ask(server, [cell], content=MINE, client_msg_id="key-1")
    assert told.answer.json["code"] == "session_not_found"
    assert MINE.encode() not in told.answer.raw


def test_members_see_each_other_and_never_an_openid(server: tuple[Imd, dict[str, str]]) -> None:
    async def run() -> None:
        async with World(server[0].port, server[1]) as world:
            await world.prepare()
            seen = PEOPLE["patient member"][0]
            await world.admin("PUT", f"/users/{seen}", {"openid": "canary-openid"})
            for caller in CALLERS:
                for path in (f"/users/{seen}", f"/users/{seen}/status"):
                    answer = await world.ask(world.credential(caller), "GET", path)
                    sees = caller in (*MEMBERS, *KEYS)
                    refused = 401 if caller == "anonymous" else 404
                    assert answer.status == (200 if sees else refused), (caller, path)
                    assert (b"canary-openid" in answer.raw) <= (caller in KEYS), caller

    asyncio.run(run())


def test_a_token_limited_to_sessions_sees_no_other(server: tuple[Imd, dict[str, str]]) -> None:
    """``sid`` narrows a member to what it names (page 2.1): all else is as if it were not there."""

    async def run() -> None:
        async with World(server[0].port, server[1]) as world:
            await world.prepare()
            world.claims["sid"] = ["another"]
            rows = [cell for cell in cells() if cell.caller == "doctor member"]
            mine = [cell for cell in rows if cell.object == "mine"]
            for told in await world.play_all(mine):
                assert MINE.encode() not in told.answer.raw or "{user_id}" in told.cell.path, told
                if "{session_id}" in told.cell.path:
                    assert told.answer.json["code"] in ("session_not_found", "forbidden"), told

    asyncio.run(run())
