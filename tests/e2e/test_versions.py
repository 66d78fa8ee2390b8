"""Versions N and N+1 on one PostgreSQL and one Redis, as an upgrade has them (page 4.6).

N+1 is made here: a copy of this program with one more migration of the kind that
``docs/operation.md`` allows, and with a bus on which it says more than N knows. In the long set N
is the last program of the repository's history that had one migration less, where there is one.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

import psycopg2
import pytest

from imd.storage.schema import HEAD, KNOWN
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, NoStart, token
from tests.e2e.town import DOCTOR, PATIENT, SESSION, Town, answered, play, told
from tests.faults.launch import ROOT
from tests.faults.mutant import Change, Mutant, apply
from tests.redis_server import RedisServer

LAUNCH = ROOT / "tests" / "faults" / "launch.py"
NEXT = f"{int(HEAD) + 1:04}"
_STEPS = "imd/storage/migrations/versions"
_STEP = f"""
from alembic import op

revision, down_revision, branch_labels, depends_on = "{NEXT}", "{HEAD}", None, None


def upgrade():
    op.execute("ALTER TABLE messages ADD COLUMN mood text")
    op.execute("ALTER TABLE sessions ADD COLUMN rank bigint NOT NULL DEFAULT 0")
    op.execute("CREATE TABLE moods (session_id text PRIMARY KEY, mood text NOT NULL)")
    op.execute("CREATE INDEX messages_mood ON messages (mood) WHERE mood IS NOT NULL")
"""
#: what N+1 knows more: a step of the schema, a field of a hint and of a bundle, a kind of hint
_NEWER = Mutant(
    "newer",
    frozenset(),
    (
        Change("imd/storage/schema.py", f'HEAD = "{HEAD}"', f'HEAD = "{NEXT}"'),
        Change("imd/storage/schema.py", f', "{HEAD}")', f', "{HEAD}", "{NEXT}")'),
        Change(
            "imd/wire/hints.py",
            "AnyHint = (\n    Stored |",
            'class Mood(Hint, frozen=True, tag="mood"):\n    session: _Id\n    mood: str\n\n\n'
            "AnyHint = (\n    Mood | Stored |",
        ),
        Change(
            "imd/wire/hints.py",
            "    session: _Id\n    message: _Id\n",
            '    session: _Id\n    message: _Id\n    mood: str = "calm"\n',
        ),
        Change(
            "imd/wire/hints.py",
            "hints: Annotated[list[AnyHint], Meta(max_length=MOST_HINTS)]\n",
            "hints: Annotated[list[AnyHint], Meta(max_length=MOST_HINTS)]\n    version: int = 2\n",
        ),
        Change(
            "imd/delivery/redis_bus.py",
            "        if not self._gathered.add(hint):\n",
            "        from imd.wire.hints import Mood\n"
            "        self._gathered.add(Mood(getattr(hint, 'session', 's'), 'calm'))\n"
            "        if not self._gathered.add(hint):\n",
        ),
    ),
)


def _newer(folder: Path) -> Path:
    source = apply(_NEWER, folder)
    (source / _STEPS / f"{NEXT}_newer.py").write_text(_STEP)
    return source


class Program:
    """A version of imd, in a folder; None is this one."""

    def __init__(self, source: Path | None, bus: str, url: str) -> None:
        self._source, self._bus, self._url = source or ROOT, bus, url

    def server(self, state: Path) -> Imd:
        return Imd(state, self._url, IMD_BUS_URL=self._bus, **NO_LIMITS)

    def launch(self, imd: Imd) -> Imd:
        path = str(self._source)
        imd.launch([sys.executable, "-P", str(LAUNCH)], FAULTS_SOURCE=path, PYTHONPATH=path)
        return imd


@contextmanager
def _stopped(*servers: Imd) -> Iterator[None]:
    """Whatever runs of them is gone after the block; a traceback in a log fails the block."""
    try:
        yield
        for server in servers:
            assert not server.trouble(), server.trouble()
    finally:
        for server in servers:
            server.kill()


async def _all_the_verbs(town: Town, round_: str) -> None:
    """Everything that one process tells the other, both ways; what is no message by hints alone."""
    for mine, other, rest in (
        (town.here, town.there, town.near),
        (town.there, town.here, town.far),
    ):
        begun = time.monotonic()
        name = f"{round_}-{mine.port}"
        inside, sender = await town.page(other, PATIENT), await town.page(mine, DOCTOR)
        outer = await town.page(other, PATIENT, None)
        card = (await rest.post(SESSION, "您好", name)).must(201)
        assert (await rest.post(SESSION, "您好", name)).must(200, 201)["id"] == card["id"]
        await sender.send("请问", f"{name}-socket")
        await inside.reached(card["seq"] + 1)
        await outer.until(partial(told, outer, "notice"))
        path = f"/sessions/{SESSION}/messages/{card['id']}"
        (await rest.ask("DELETE", path)).must(200)
        await inside.until(partial(told, inside, "update"), 1.5)
        (await rest.ask("PUT", f"/sessions/{SESSION}/name", {"name": name})).must(200)
        await inside.until(partial(told, inside, "session"), 1.5)
        topic = {"topic_id": name, "start_by": PATIENT, "name": "咳嗽"}
        async with Rest(mine.port, token(PATIENT, "patient")) as patient:
            (await patient.ask("POST", f"/sessions/{SESSION}/topics", topic)).must(200, 201)
        (await rest.post(SESSION, "多喝水", f"{name}-answer")).must(201)
        await inside.until(partial(answered, inside))
        ended = {"end_by": DOCTOR}
        (await rest.ask("PUT", f"/sessions/{SESSION}/topics/current/ended", ended)).must(200)
        async with asyncio.timeout(6):
            # Those who typed a moment ago are not told again at once.
            while not told(inside, "typing"):
                await sender.call("typing")
                await asyncio.sleep(0.2)
        await inside.call("read")
        last = inside.last_seq
        for server in (town.here, town.there):
            async with Rest(server.port, token(PATIENT, "patient")) as patient:
                assert await patient.unread(SESSION, PATIENT) == 0
        removed = f"/sessions/{SESSION}/participants/{PATIENT}"
        (await rest.ask("DELETE", removed)).must(200)
        await inside.until(partial(list, inside.closes), 1.5)
        assert inside.closes[0][0] == 4403
        (await rest.ask("PUT", removed, {"role": "patient"})).must(200, 201)
        for page in (inside, outer, sender):
            assert page.faults == []
            await page.close()
        assert last >= card["seq"] + 3 and time.monotonic() - begun < 60


def _schema(url: str) -> str:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM im.schema_version")
            row = cursor.fetchone()
            assert row is not None
            return str(row[0])
    finally:
        connection.close()


def _side_by_side(folder: Path, older: Program, newer: Program, url: str, redis: object) -> None:
    """N serves, N+1 starts beside it and migrates; both serve; N is not started any more."""
    here, there = older.server(folder / "here"), newer.server(folder / "there")
    late = older.server(folder / "late")
    with _stopped(here, there):
        older.launch(here).ready()
        before = _schema(url)

        async def test(town: Town) -> None:
            page = await town.page(here, DOCTOR)
            for number in range(20):
                (await town.near.post(SESSION, "早", f"before-{number}")).must(201)
            sending = asyncio.ensure_future(_go_on_sending(town.near))
            await asyncio.to_thread(newer.launch(there).ready)
            sent = await _stopped_sending(sending)
            assert _schema(url) > before
            await page.reached(20 + sent)
            assert page.faults == [] and len(page.logins) == 1
            await _all_the_verbs(town, "one")
            with pytest.raises(NoStart, match="run the newer program"):
                older.launch(late).ready()
            await _all_the_verbs(town, "two")
            assert page.faults == [] and len(page.logins) == 1
            logs = [await rest.every_message(SESSION) for rest in (town.near, town.far)]
            assert logs[0] == logs[1]
            assert [one["seq"] for one in logs[0]] == list(range(1, len(logs[0]) + 1))

        play(Town(here, there, redis), test)  # type: ignore[arg-type]
        assert here.stop() == 0


async def _go_on_sending(rest: Rest) -> int:
    number = 0
    while True:
        number += 1
        try:
            (await rest.post(SESSION, "中", f"while-{number}")).must(201)
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            return number


async def _stopped_sending(sending: asyncio.Future[int]) -> int:
    sending.cancel()
    return await sending


@pytest.mark.timeout(240)
def test_n_and_n_plus_1_serve_side_by_side(
    tmp_path: Path, postgres_url: str, breakable_redis: RedisServer
) -> None:
    bus = breakable_redis.url
    older = Program(None, bus, postgres_url)
    newer = Program(_newer(tmp_path / "newer"), bus, postgres_url)
    _side_by_side(tmp_path, older, newer, postgres_url, breakable_redis)


# ---- the repository's own past


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout


def _steps_of(commit: str) -> set[bytes]:
    """The migrations of a commit, with what is in them."""
    lines = _git("ls-tree", commit, f"{_STEPS}/").splitlines()
    return {line.split(maxsplit=2)[2] for line in lines if line.split(b"/")[-1][:1].isdigit()}


def _past() -> str | None:
    """The newest commit with the migrations of today but the last."""
    today = _steps_of("HEAD")
    for commit in _git("rev-list", "--max-count=1000", "HEAD").decode().split():
        steps = _steps_of(commit)
        if len(steps) == len(KNOWN) - 1 and steps < today:
            return commit
    return None


@pytest.mark.skipif(not os.environ.get("IMD_FAULTS_SEEDS"), reason="the long set: make faults")
@pytest.mark.timeout(300)
def test_the_program_before_the_last_migration_and_this_one_serve_side_by_side(
    tmp_path: Path, postgres_url: str, breakable_redis: RedisServer
) -> None:
    try:
        commit = _past()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("NOT TESTED: this is no checkout")
    if commit is None:
        pytest.skip("NOT TESTED: the history holds no program with one migration less")
    with tarfile.open(fileobj=BytesIO(_git("archive", commit, "imd", "twisted"))) as archive:
        archive.extractall(tmp_path / "past", filter="data")
    older = Program(tmp_path / "past", breakable_redis.url, postgres_url)
    newer = Program(None, breakable_redis.url, postgres_url)
    _side_by_side(tmp_path, older, newer, postgres_url, breakable_redis)
