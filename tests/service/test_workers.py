"""``--workers N`` as an operator meets it: start, death, farewell and roll (pages 4.6 and 5.2)."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.service.running import run_once
from tests.service.team import NO_BUS, Team, is_alive, lines_of, until

#: seconds within which a worker that died is back, and within which none outlives its supervisor
BACK, ORPHAN = 3.0, 5.0


class Load:
    """Callers that ask and ask, each over new connections or one that is kept."""

    def __init__(self, port: int) -> None:
        self.port, self.over = port, threading.Event()
        self.outcomes: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []

    def _ask_on(self, pause: float, kept: bool) -> None:
        link = None
        while not self.over.wait(pause):
            link = link or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                link.request("GET", "/api/v2/users/nobody")
                answer = link.getresponse()
                answer.read()
                outcome = str(answer.status)
            except ConnectionRefusedError:
                outcome = "refused"
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
            self.outcomes[outcome] += 1
            if not kept or outcome != "404" or answer.will_close:
                link.close()
                link = None

    @contextmanager
    def run(self, callers: int, pause: float, kept: bool = False) -> Iterator[Load]:
        for _ in range(callers):
            thread = threading.Thread(target=self._ask_on, args=(pause, kept))
            thread.start()
            self._threads.append(thread)
        try:
            yield self
        finally:
            self.over.set()
            for thread in self._threads:
                thread.join()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with Team(tmp_path_factory.mktemp("team"), 2) as team:
        yield team


def test_it_says_where_it_runs_once_when_all_serve(team):
    lines = team.text.splitlines()
    (said,) = [n for n, line in enumerate(lines) if "Starting IM server, version " in line]
    assert f"running on port {team.port}, " in lines[said]
    assert "Configuration profile: dev" in lines[said + 1]
    serving = [n for n, line in enumerate(lines) if " serves, pid " in line]
    assert len(serving) == 2 and max(serving) < said
    assert sorted(team.pids) == [1, 2] and len(team.family) == 2


def test_each_line_of_a_worker_names_it(team):
    assert team.asked(1) and team.asked(2)
    assert len(team.asked(1) + team.asked(2)) < len(team.text)


def test_a_killed_worker_is_back_within_3_s_and_nobody_is_refused(team):
    until(team.whole, BACK, "all serve")
    victim = team.pids[2]
    with Load(team.port).run(4, 0.005) as load:
        until(lambda: load.outcomes["404"] > 50, 10, "load")
        begun = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        until(lambda: not is_alive(victim) and team.pids.get(2) != victim, 2, "it is gone")
        until(team.whole, BACK - (time.monotonic() - begun), "it is back")
        seen = load.outcomes["404"]
        until(lambda: load.outcomes["404"] > seen + 50, 10, "load")
    assert load.outcomes["refused"] == 0
    # What it had in hand when it was killed is lost; its callers see that and ask again.
    assert sum(load.outcomes.values()) - load.outcomes["404"] <= 4
    assert "worker 2 " in team.text and "ended by signal 9" in team.text


def test_sighup_replaces_the_workers_one_by_one(team):
    until(team.whole, BACK, "all serve")
    before = set(team.pids.values())
    team.signal(signal.SIGHUP)
    until(lambda: "all 2 workers are replaced" in team.text, 20, "a roll")
    assert team.whole() and not before & set(team.pids.values())
    assert not any(map(is_alive, before))
    assert team.process.poll() is None


def test_sigterm_ends_all_with_0(tmp_path):
    with Team(tmp_path, 2, env={"IMD_LOG_FORMAT": "json"}) as team:
        said = lines_of(team.text)
        assert {line.get("worker") for line in said} == {None, 1, 2}
        pids = [line["pid"] for line in said if "pid" in line]
        team.signal()
        assert team.ended(6) == 0
        assert len(pids) == 2 and not any(map(is_alive, pids))
        assert not [line for line in lines_of(team.text) if line["level"] in ("error", "critical")]


def test_no_worker_outlives_a_killed_supervisor(tmp_path):
    with Team(tmp_path, 2) as team:
        pids = list(team.pids.values())
        begun = time.monotonic()
        team.process.kill()
        until(lambda: not any(map(is_alive, pids)), ORPHAN, "the workers are gone")
        assert time.monotonic() - begun < ORPHAN
        with closing(socket.socket()) as probe:
            assert probe.connect_ex(("127.0.0.1", team.port)) != 0
        assert "the supervisor is gone" in team.text


# ---- refusals


@pytest.mark.parametrize(
    "options, env, line",
    [
        (("--workers", "0"), {}, "imd: --workers '0' is not allowed; allowed: a whole number, 1"),
        (("--workers", "65"), {}, "imd: --workers '65' is not allowed; allowed: a whole number"),
        (("--workers", "two"), {}, "imd: --workers 'two' is not allowed; allowed: a whole number"),
        (("--workers", "2"), {}, "imd: workers need Redis: set bus.url"),
        (
            ("--workers", "2", "--worker", "1"),
            {"IMD_BUS_URL": NO_BUS},
            "imd: --worker is the supervisor's; give --workers alone",
        ),
        (
            ("--worker", "1"),
            {"IMD_BUS_URL": NO_BUS},
            "imd: --worker is the supervisor's own option: use --workers",
        ),
        (
            ("--workers", "2"),
            {"IMD_BUS_URL": NO_BUS, "IMD_DATABASE_URL": "postgresql://imd@127.0.0.1:1/im"},
            "imd: cannot connect",
        ),
        (
            ("--workers", "2"),
            {"IMD_BUS_URL": NO_BUS, "IMD_HTTP_TLS_CERT": __file__, "IMD_HTTP_TLS_KEY": __file__},
            "imd: http.tls_cert",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_1(tmp_path, options, env, line):
    state = str(tmp_path / "var")
    outcome = run_once("--state-dir", state, "--port", "0", *options, **env)
    assert outcome.returncode == 1
    (said,) = outcome.stderr.splitlines()
    assert said.startswith(line)
    assert "Starting IM server" not in outcome.stdout


def test_a_taken_port_ends_it_before_any_worker_is_started(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as holder:
        port = str(holder.getsockname()[1])
        outcome = run_once(
            "--state-dir", str(tmp_path), "--port", port, "--workers", "2", IMD_BUS_URL=NO_BUS
        )
    assert outcome.returncode == 1
    said = f"imd: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    assert outcome.stderr == said
    assert "w1 [" not in outcome.stdout


def test_sighup_with_bad_settings_keeps_the_workers(tmp_path: Path):
    config = tmp_path / "imd.toml"
    config.write_text("[limits]\nsend_burst = 20\n")
    with Team(tmp_path, 1, "--config", str(config)) as team:
        before = team.pids
        config.write_text("[limits]\nsend_burst = -1\n")
        team.signal(signal.SIGHUP)
        until(lambda: "the workers stay as they are" in team.text, 5, "a refusal")
        assert "limits.send_burst" in team.text
        assert team.pids == before and team.whole()
        config.write_text("[http]\nport = 1\ndrain = 0.5\n")
        team.signal(signal.SIGHUP)
        until(lambda: "all 1 workers are replaced" in team.text, 20, "a roll")
        assert team.pids != before and team.ask("GET", "/healthz")[0] == 200
