"""What leaves a note in the audit trail: one for each act, in the act's transaction, no words."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted

from imd.cli.main import run
from imd.domain.audit import Act, digest
from imd.domain.errors import ImError, Unavailable
from tests.actions.household import ADMIN, READER, SERVICE, doctor, patient
from tests.actions.topic_world import CANARY, Town
from tests.storage.ground import outcomes, together

#: what each act says, and about what: (action, object, the detail's keys)
Notes = list[tuple[str, str, dict[str, Any]]]


async def notes(town: Town, after: int = 0) -> Notes:
    rows = await town.ground.rows(
        "SELECT action, object, detail FROM audit WHERE seq > %s ORDER BY seq", after
    )
    return [(action, target, json.loads(detail)) for action, target, detail in rows]


async def left_by(town: Town, promise: Any) -> Notes:
    """The notes that an act leaves, whether it succeeds or not."""
    before = await town.count("audit")
    await outcomes([promise])
    return await notes(town, before)


@pytest_twisted.ensureDeferred
async def test_each_act_leaves_one_note(town: Town) -> None:
    home, svc = town.home, SERVICE
    seen: Notes = []

    async def act(promise: Any) -> dict[str, Any]:
        (note,) = await left_by(town, promise)
        seen.append(note)
        return note[2]

    assert await act(home.put_user(ADMIN, user_id="D", kind="doctor", name="n")) == {
        "created": True, "fields": ["kind", "name"],
    }  # fmt: skip
    assert await act(home.login(ADMIN, user_id="D")) == {"role": "doctor"}
    assert await act(home.logout(doctor("D"), user_id="D")) == {}
    opened = {"session_id": "s", "session_name": "n", "session_type": 9}
    made = await act(home.open(svc, participants=["P:patient", "D:doctor"], **opened))
    assert made == {"type": 9, "participants": ["P", "D"]}
    assert await act(home.open(svc, participants=["N"], **opened)) == {"participants": ["N"]}
    assert await act(home.rename(svc, session_id="s", name="other")) == {}
    assert await act(home.status(svc, session_id="s", status=0)) == {"status": 0}
    assert await act(home.add(svc, session_id="s", participant_ids="M")) == {"participants": ["M"]}
    assert await act(home.add(svc, session_id="s", participant_ids="M", role="nurse")) == {
        "participants": ["M"]
    }
    assert await act(home.remove(svc, session_id="s", participant_ids="M")) == {
        "participants": ["M"]
    }
    card = await town.send("s", "D", {"a": 1}, type=20)
    text = await town.send("s", "D", "words")
    edited = await act(home.edit(svc, session_id="s", message_id=card.id, content={"a": 2}))
    assert edited == {"message_id": card.id, "version": 2}
    recalled = await act(home.recall(svc, session_id="s", message_id=text.id))
    assert recalled == {"message_id": text.id, "digest": digest("words")}
    read = await act(home.list(svc, session_id="s"))
    assert read == {"user_id": None, "first_seq": 1, "last_seq": 3, "count": 3}
    await town.start("s", "t")
    assert await act(town.update("t", name="new")) == {"topic_id": "t", "fields": ["name"]}
    # tested where these are
    commands = ("backup.", "database.", "key.", "reconcile.", "retention.", "transcript.")
    by_command = {act for act in Act if act.startswith(commands)}
    assert {action for action, _, _ in seen} == {str(a) for a in set(Act) - by_command}
    assert {target for _, target, _ in seen} == {"D", "s"}
    actors = await town.ground.rows("SELECT DISTINCT actor FROM audit ORDER BY 1")
    assert actors == [("service:boss",), ("service:his",), ("user:D",)]


@pytest_twisted.ensureDeferred
async def test_replacing_a_member_leaves_both_notes(town: Town) -> None:
    await town.open("s")
    left = await left_by(
        town,
        town.home.replace(
            SERVICE, session_id="s", old_participant_id="D", new_participant_id="E", role="doctor"
        ),
    )
    assert left == [
        ("participant.removed", "s", {"participants": ["D"]}),
        ("participant.added", "s", {"participants": ["E"]}),
    ]


@pytest_twisted.ensureDeferred
async def test_an_act_that_is_refused_leaves_none(town: Town) -> None:
    home = town.home
    await town.open("s")
    card = await town.send("s", "D", {"a": 1}, type=20)
    await town.start("s", "t")
    refused = [
        home.put_user(doctor("D"), user_id="D", kind="doctor"),
        home.login(ADMIN, user_id="nobody"),
        home.rename(doctor("X"), session_id="s", name="x"),
        home.status(SERVICE, session_id="s", status=0),
        home.add(patient("P"), session_id="s", participant_ids="M"),
        home.remove(SERVICE, session_id="s", participant_ids="nobody"),
        home.replace(SERVICE, session_id="s", old_participant_id="no", new_participant_id="E"),
        home.edit(SERVICE, session_id="s", message_id=card.id, content={}, version=9),
        home.recall(patient("P"), session_id="s", message_id=card.id),
        town.update("none", name="x"),
        town.update("t", doctor("D"), name="x"),
        town.start_in("u", "X", session_id="new", session_type=9, session_name="n",
                      participants=["P", "D"]),
        town.start_in("u", session_id="s", session_type=9, session_name="n",
                      participants=["P", "D", "N"]),
    ]  # fmt: skip
    for promise in refused:
        before = await town.count("audit")
        (found,) = await outcomes([promise])
        assert isinstance(found, ImError), found
        assert await notes(town, before) == []
    assert await town.count("participants") == 2


@pytest_twisted.ensureDeferred
async def test_what_changes_nothing_leaves_none(town: Town) -> None:
    home = town.home
    await town.open("s")
    text = await town.send("s", "D")
    await town.start("s", "t", name="a")
    await home.recall(SERVICE, session_id="s", message_id=text.id)
    for promise in (
        town.open("s"),
        home.add(SERVICE, session_id="s", participant_ids="D"),
        home.recall(SERVICE, session_id="s", message_id=text.id),
        town.update("t", name="a"),
        town.start("s", "t"),
    ):
        assert await left_by(town, promise) == []


@pytest_twisted.ensureDeferred
async def test_a_service_that_reads_messages_is_noted(town: Town) -> None:
    home = town.home
    await town.open("s")
    sent = [await town.send("s", "P") for _ in range(4)]
    await town.start("s", "t")
    for promise, seqs in (
        (home.list(READER, session_id="s", size=2), (4, 5)),
        (home.list(SERVICE, session_id="s", user_id="D", after=1, size=2), (2, 3)),
        (home.list_topic(READER, topic_id="t"), (5, 5)),
        (home.list_session_topic(READER, session_id="s", topic_id="t"), (5, 5)),
        (home.get(READER, session_id="s", message_id=sent[2].id), (3, 3)),
        (home.unread_list(SERVICE, session_id="s", user_id="D"), (1, 5)),
    ):
        ((action, target, detail),) = await left_by(town, promise)
        assert (action, target) == ("messages.read", "s")
        assert (detail["first_seq"], detail["last_seq"]) == seqs
        assert detail["count"] == seqs[1] - seqs[0] + 1
    # a page without a message tells nothing about anybody
    assert await left_by(town, home.list(READER, session_id="s", after=5)) == []


@pytest_twisted.ensureDeferred
async def test_a_users_own_reads_are_not_noted(town: Town) -> None:
    home = town.home
    await town.open("s")
    sent = await town.send("s", "P")
    for caller in (doctor("D"), patient("P", sid=["s"])):
        for promise in (
            home.list(caller, session_id="s"),
            home.get(caller, session_id="s", message_id=sent.id),
            home.unread_list(caller, session_id="s"),
            home.sessions(caller),
            town.listed(caller),
        ):
            assert await left_by(town, promise) == []


@pytest_twisted.ensureDeferred
async def test_the_read_is_noted_before_the_answer(town: Town) -> None:
    """Where the note cannot be written, the service gets nothing."""
    await town.open("s")
    await town.send("s", "P", CANARY)

    def spoil(transaction) -> None:
        transaction.connection.run("DROP TABLE audit")

    await town.house.db.write(spoil)
    (found,) = await outcomes([town.home.list(READER, session_id="s")])
    assert isinstance(found, Unavailable)
    assert (await town.home.list(doctor("D"), session_id="s")).items[0].content == CANARY


@pytest.fixture(autouse=True)
def _expected(unhandled_errors):
    """The writer logs the failure that one test here provokes."""
    yield
    unhandled_errors[:] = [
        event for event in unhandled_errors if "a batch of" not in event.get("log_format", "")
    ]


@pytest_twisted.ensureDeferred
async def test_no_word_and_no_name_stands_in_the_trail(town: Town, monkeypatch, capsys) -> None:
    home, words = town.home, CANARY
    await town.person("D", "doctor", name=words, openid=words, avatar=words, title=words)
    await town.person("P", "patient", name=words, sex=1)
    await home.login(ADMIN, user_id="D", client_id="c", token=words)
    await town.open("s", "P:patient", "D:doctor", name=words)
    await home.rename(SERVICE, session_id="s", name=words)
    await town.start("s", "t", name=words, description=words, team_code="T",
                     messages=[{"type": 1, "content": words}])  # fmt: skip
    card = await town.send("s", "D", {"text": words}, type=20)
    await home.edit(SERVICE, session_id="s", message_id=card.id, content={"text": words * 2})
    await home.recall(SERVICE, session_id="s", message_id=card.id)
    await home.list(READER, session_id="s")
    await home.add(SERVICE, session_id="s", participant_ids="N", role="nurse")
    await town.update("t", name=words * 2, description=words)
    await town.end("s", note=words)
    await home.logout(doctor("D"))
    rows = await town.ground.rows("SELECT * FROM audit")
    assert len(rows) == 11, [row[3] for row in rows]
    assert words not in str(rows)
    monkeypatch.setenv("IMD_DATABASE_URL", town.ground.url)
    for form in ([], ["--json"]):
        capsys.readouterr()
        assert run(["audit", "show", *form]) == 0
        shown = capsys.readouterr().out
        assert "session.renamed" in shown
        assert words not in shown and json.dumps(words) not in shown
    assert await town.ground.store.database.read(lambda tx: tx.audit.verify()) == (len(rows), None)


@pytest_twisted.ensureDeferred
async def test_parallel_acts_keep_one_chain(town: Town) -> None:
    """Renames, memberships, reads, edits and topics of few sessions, all at once."""
    home = town.home
    for n in range(3):
        await town.open(f"s{n}")
        await town.send(f"s{n}", "P")
    wishes: list[Any] = []
    for n in range(40):
        session = f"s{n % 3}"
        wishes += [
            home.rename(SERVICE, session_id=session, name=f"n{n}"),
            home.add(SERVICE, session_id=session, participant_ids=f"N{n}"),
            home.list(READER, session_id=session),
            town.start_in(f"t{n}", session_id=f"made{n % 4}", session_type=9, session_name="n",
                          participants=["P", "D", f"N{n}"]),
            town.send(session, "D"),
        ]  # fmt: skip
    found = await outcomes(wishes)
    refused = {type(f).__name__ for f in found if isinstance(f, Exception)}
    assert refused <= {"TopicActive"}
    count, flaw = await town.ground.store.database.read(lambda tx: tx.audit.verify())
    assert flaw is None
    by_action: dict[str, int] = dict(
        await town.ground.rows("SELECT action, count(*) FROM audit GROUP BY action")
    )
    assert by_action["session.renamed"] == by_action["messages.read"] == 40
    # the members of a start that was refused were rolled back, and so were their notes
    added = await town.ground.rows(
        "SELECT count(*) FROM participants WHERE participant_id LIKE 'N%%'"
    )
    details = [d["participants"] for a, _, d in await notes(town) if "participants" in d]
    assert sum(name[0] == "N" for names in details for name in names) == added[0][0]
    assert count == sum(by_action.values())


@pytest_twisted.ensureDeferred
async def test_reads_beside_sends_share_the_writers_transactions(town: Town) -> None:
    await town.open("s")
    await town.send("s", "P")
    reads = [town.home.list(READER, session_id="s") for _ in range(20)]
    await together([*reads, *[town.send("s", "P") for _ in range(20)]])
    assert [action for action, _, _ in await notes(town)].count("messages.read") == 20
    assert (await town.ground.store.database.read(lambda tx: tx.audit.verify()))[1] is None
