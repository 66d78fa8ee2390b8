"""The two ledgers beside a running server: statistics by REST, repairs, and what was moved over.

Pages 4.5, 7.1, 7.2 and 7.3 as an operator meets them: ``imdctl`` in processes of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.page import Page
from tests.e2e.rest import Rest
from tests.e2e.server import NO_LIMITS, Imd, clean_environment, running, token, twistd, until
from tests.ledger import originals, platforms
from tests.ledger.originals import ask
from tests.ledger.platforms import consult, team
from tests.ledger.test_moving import member, message, seed_unread, session

#: some hours ago, so that the window by default has it
MADE = int(time.time()) * 1000 - 5 * 3_600_000


def driven(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))  # type: ignore[arg-type]

    return run


def imdctl(settings: Mapping[str, str], *words: str, status: int = 0) -> Any:
    """What the command answers as JSON."""
    run = subprocess.run(
        [str(Path(sys.executable).with_name("imdctl")), *words, "--json"],
        env={**clean_environment(), **settings}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert run.returncode == status, (run.returncode, run.stdout, run.stderr)
    return json.loads(run.stdout)


@pytest.fixture
def platform(tmp_path: Path) -> str:
    """A platform with three consults, none of which imd knows."""
    return originals.build(
        f"sqlite:///{tmp_path}/platform.db",
        {
            "wlyy_consult": [
                consult("c1", MADE), consult("c2", MADE, patient="p2"),
                consult("c3", MADE, ended=MADE + 9000, patient="p3"),
            ],
            "wlyy_consult_team": [
                team("c1", MADE), team("c2", MADE, patient="p2", admin_team_code=8),
                team("c3", MADE, patient="p3", doctor="d2"),
            ],
            "wlyy_admin_team": [
                {"id": 7, "name": "七队", "org_code": "o1", "leader_code": "d"},
                {"id": 8, "name": "八队", "org_code": "o2", "leader_code": "d2"},
            ],
        },
        platforms.metadata(),
    )  # fmt: skip


def key(url: str, scope: str) -> str:
    """A service key; made before the server starts, which takes a later one over within 5 s."""
    settings = {"IMD_DATABASE_URL": url, "IM_PROFILE": "test"}
    made: str = imdctl(settings, "key", "add", f"{scope}er", "--scope", scope)["key"]
    return made


@pytest.fixture
def keys(database_url: str) -> dict[str, str]:
    return {scope: key(database_url, scope) for scope in ("read", "metrics")}


@pytest.fixture
def imd(tmp_path: Path, database_url: str, platform: str, keys: dict[str, str]) -> Any:
    settings = {**NO_LIMITS, "IMD_PLATFORM_URL": platform}
    with running(tmp_path / "state", database_url, **settings) as server:
        yield server


@driven
async def test_a_repair_beside_the_server_is_served_at_once(imd: Imd) -> None:
    """Sockets are not told of it (the page asks for none); whoever asks finds it, and it works."""
    async with Rest(imd.port, token("p", "patient")) as patient:
        found = (await patient.ask("GET", "/sessions")).must(200)
        assert found["items"] == []
        told = imdctl(imd.settings, "reconcile", "--apply")
        assert told["applied"] == 3 and told["differences"]["missing_in_imd"] == 3
        [made] = (await patient.ask("GET", "/sessions")).must(200)["items"]
        assert made["id"] == "p_t1_2"
        topic = (await patient.ask("GET", "/sessions/topics/c1")).must(200)
        assert (topic["id"], topic["create_time"] // 1000) == ("c1", MADE // 1000)
        page = Page(imd.port, token("p", "patient"), "patient", "p_t1_2")
        await page.opened()
        async with Rest(imd.port, token("d", "doctor")) as doctor:
            sent = (await doctor.post("p_t1_2", "您好", "k1")).must(201)
        await page.reached(sent["seq"])
        assert page.shown == [sent] and sent["topic_id"] == "c1"
        # The other side ends it, and the next repair ends it here while the page looks on.
        originals.run(
            imd.settings["IMD_PLATFORM_URL"], "UPDATE wlyy_consult SET status = 1 WHERE code = 'c1'"
        )
        assert imdctl(imd.settings, "reconcile", "--apply")["applied"] == 1
        topic = (await patient.ask("GET", "/sessions/topics/c1")).must(200)
        assert topic["status"] == 10 and topic["end_time"] is not None
        assert imdctl(imd.settings, "reconcile", "--apply")["applied"] == 0
        assert not page.faults and not page.closes
        await page.close()


@driven
async def test_statistics_are_asked_for_by_services_only(imd: Imd, keys: dict[str, str]) -> None:
    imdctl(imd.settings, "reconcile", "--apply")
    async with Rest(imd.port, keys["read"]) as service:
        query: dict[str, object] = {"by": "team", "list": 1}
        found = (await service.ask("GET", "/stats/consults", query=query)).must(200)
        assert found["rule"] == "expired-excluded"
        rows = {row["key"]: row for row in found["rows"]}
        assert (rows["7"]["name"], sorted(rows["7"]["list"])) == ("七队", ["c1", "c3"])
        assert (rows["7"]["unreplied"], rows["7"]["expired"]) == (1, 1)
        assert rows["7"]["reply_rate"] == 0 and rows["8"]["list"] == ["c2"]
        told = imdctl(imd.settings, "stats", "consults", "--by", "team", "--list")
        assert told == found
        org = await service.ask("GET", "/stats/consults", query={"by": "doctor", "org": "o2"})
        assert [(row["key"], row["consults"]) for row in org.must(200)["rows"]] == [("d", 1)]
        late = {"by": "type", "since": MADE + 3_600_000}
        assert (await service.ask("GET", "/stats/consults", query=late)).must(200)["rows"] == []
        for wrong in ({}, {"by": "moon"}, {"by": "team", "since": "soon"}):
            refused = await service.ask("GET", "/stats/consults", query=wrong)
            assert refused.status == 422, wrong
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json["errors"][0]["field"] in ("by", "since")
    for credential, status in ((token("d", "doctor"), 403), (token("p", "patient"), 403),
                               (keys["metrics"], 403), (None, 401)):  # fmt: skip
        async with Rest(imd.port, credential) as other:
            refused = await other.ask("GET", "/stats/consults", query={"by": "team"})
            assert refused.status == status
            assert refused.headers["content-type"] == "application/problem+json"


@driven
async def test_a_platform_that_is_away_is_a_503(tmp_path: Path, sqlite_url: str) -> None:
    away = {"IMD_PLATFORM_URL": f"sqlite:///{tmp_path}/none.db"}
    read = key(sqlite_url, "read")
    with running(tmp_path / "state", sqlite_url, **NO_LIMITS, **away) as imd:
        async with Rest(imd.port, read) as service:
            refused = await service.ask("GET", "/stats/consults", query={"by": "team"})
            assert refused.status == 503 and refused.json["code"] == "unavailable"
            assert refused.headers["content-type"] == "application/problem+json"


@driven
async def test_what_was_moved_over_is_served(tmp_path: Path, database_url: str) -> None:
    """History, unread and order are the original's, and the log goes on behind it."""
    old = MADE - 10_000_000
    said = [message(f"m{n:03}", "s", old + n // 2, "de"[n % 3 == 0]) for n in range(450)]
    source = originals.build(
        f"sqlite:///{tmp_path}/original.db",
        {
            "sessions": [session("s", 2, business_type=1)],
            "participants": [member("s", "d", old + 100), member("s", "e", old + 7)],
            "doctors": [{"id": "d", "name": "张"}, {"id": "e", "name": "王"}],
            "p2p_messages": said[::2], "muc_messages": said[1::2],
        },
    )  # fmt: skip
    with running(tmp_path / "state", database_url, **NO_LIMITS) as imd:
        report = imdctl(imd.settings, "import-legacy", source, "--state-dir", str(imd.state))
        assert report["sessions_different"] == 0
        page = Page(imd.port, token("d", "doctor"), "doctor", "s")
        await page.opened()
        async with Rest(imd.port, token("e", "doctor")) as other:
            log = await other.every_message("s")
            assert [row["id"] for row in log] == [row["id"] for row in said]
            assert [row["seq"] for row in log] == list(range(1, 451))
            assert [row["content"] for row in log] == [row["content"] for row in said]
            assert await other.unread("s", "e") == seed_unread(source, "s", "e")
            assert page.last_seq == 450
            one = (await other.post("s", "接着说", "k1")).must(201)
            assert one["seq"] == 451 and one["timestamp"] > log[-1]["timestamp"]
            await page.reached(451)
            page.cut()
            two = (await other.post("s", "断线时说的", "k2")).must(201)
            await page.until(lambda: len(page.logins) == 2)
            await page.reached(452)
            assert page.shown[-2:] == [one, two] and not page.faults
            assert page.reloads == 0 and page.logins[-1]["recovered"] is True
            history = await page.call("history", after=100, size=200)
            assert history["items"] == log[100:300]
            assert await other.unread("s", "e") == 0
        await page.close()
        # The original goes on for a while; what came to both is behind what was said here.
        more = [message("n1", "s", int(time.time() * 1000) + 60_000, "d")]
        engine = originals.engine_of(source)
        with engine.begin() as connection:
            originals.add(connection, originals.metadata().tables["muc_messages"], more)
        again = imdctl(imd.settings, "import-legacy", source, "--state-dir", str(imd.state))
        assert again["imported"]["muc_messages"] == 1 and again["sessions_different"] == 0
        async with Rest(imd.port, token("e", "doctor")) as other:
            assert (await other.every_message("s"))[-1]["id"] == "n1"
    assert ask(source, "SELECT count(*) FROM muc_messages") == [(226,)]


def differences(text: str) -> dict[str, float]:
    return {
        sample.labels["class"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "imd_reconcile_differences"
    }


def test_of_several_processes_one_compares_by_the_clock(
    tmp_path: Path, postgres_url: str, platform: str, redis_server: Any
) -> None:
    """Two workers and a process of its own: a comparison a second in all, the same for everybody.

    The figure is not added up over the workers.
    """
    more = {
        **NO_LIMITS, "IMD_PLATFORM_URL": platform, "IMD_RECONCILE_EVERY": "1",
        "IMD_BUS_URL": redis_server.url,
    }  # fmt: skip
    crew = Imd(tmp_path / "crew", postgres_url, **more)
    single = Imd(tmp_path / "single", postgres_url, **more)
    compared = re.compile(r"ledgers compared: (\d+) differences")
    try:
        crew.start([*twistd(), "--workers", "2"])
        begun = time.monotonic()
        single.start()

        def figures(imd: Imd) -> dict[str, float]:
            with urlopen(f"http://127.0.0.1:{imd.port}/metrics", timeout=30) as answer:
                return differences(answer.read().decode())

        def found() -> list[str]:
            return compared.findall(crew.log) + compared.findall(single.log)

        until(lambda: len(found()) >= 5, 60, "five comparisons")
        assert set(found()) == {"3"}
        assert len(found()) <= time.monotonic() - begun + 2
        alike = {"missing_in_imd": 3}
        until(lambda: alike.items() <= figures(crew).items(), 30, "the crew's figure")
        until(lambda: alike.items() <= figures(single).items(), 30, "the same of the single one")
        assert not crew.trouble() and not single.trouble()
    finally:
        crew.kill()
        single.kill()
