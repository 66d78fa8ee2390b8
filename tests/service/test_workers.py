"""``--workers N`` as an operator meets it: start, death, farewell and roll (pages 4.6 and 5.2)."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.servers import PostgresServer
from tests.service.running import command, environment, given_socket, run_once
from tests.service.team import NO_BUS, Team, is_alive, lines_of, until

#: seconds within which a worker that died is back, and none outlives its supervisor: page 4.6 says
#: 3 and 5, to which IMD_TEST_BACK=3 IMD_TEST_ORPHAN=5 hold a quiet machine
BACK = float(os.environ.get("IMD_TEST_BACK", "30"))
ORPHAN = float(os.environ.get("IMD_TEST_ORPHAN", "30"))


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


def test_a_killed_worker_is_back_soon_and_nobody_is_refused(team):
    until(team.whole, BACK, "all serve")
    victim = team.pids[2]
    with Load(team.port).run(4, 0.005) as load:
        until(lambda: load.outcomes["404"] > 50, 10, "load")
        begun = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        until(lambda: not is_alive(victim) and team.pids.get(2) != victim, BACK, "it is gone")
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


def test_metrics_are_of_all_workers(team):
    until(team.whole, BACK, "all serve")
    count = 'imd_request_seconds_count{route="get_user",status="404"}'
    before = metrics(team).get(count, 0)
    for _ in range(20):
        assert team.ask("GET", "/api/v2/users/nobody")[0] == 404
    for _ in range(5):
        assert metrics(team)[count] == before + 20
    os.kill(team.pids[1], signal.SIGKILL)
    until(lambda: metrics(team)["imd_workers"] == 1, BACK, "a death is counted")
    assert metrics(team)[count] == before + 20
    until(lambda: metrics(team)["imd_workers"] == 2, 2 * BACK, "it is back")
    after = metrics(team)
    assert after[count] == before + 20 and after["imd_worker_restarts_total"] >= 1
    assert {'process_resident_memory_bytes{worker="1"}'} < set(after)
    figures = team.ask("GET", "/console/figures")[1]
    assert figures["messages"]["stored"] == 0


def metrics(team: Team) -> dict[str, float]:
    lines = [
        line.rpartition(" ") for line in team.metrics().splitlines() if not line.startswith("#")
    ]
    return {name: float(value) for name, _, value in lines}


def test_a_file_that_twistd_logs_to_is_the_workers_too(tmp_path):
    log = tmp_path / "imd.log"
    env = environment(IMD_BUS_URL=NO_BUS, IMD_HTTP_DRAIN="0")
    line = command("--state-dir", str(tmp_path / "var"), "--port", "0", "--workers", "1")
    line.insert(line.index("imd"), f"--logfile={log}")
    process = subprocess.Popen(line, env=env, cwd=tmp_path)
    try:
        until(lambda: log.exists() and "Starting IM" in log.read_text(), 30, "it serves")
        process.terminate()
        assert process.wait(6) == 0
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert " w1 [" in text and "worker 1 has left" in text
    assert all(line[:4].isdigit() for line in text.splitlines())


@pytest.mark.parametrize("said", ["worker 1 serves", "worker 2 serves"])
def test_a_stop_while_the_workers_start_is_a_clean_one(tmp_path, said):
    log = tmp_path / "log"
    env = environment(IMD_BUS_URL=NO_BUS, IMD_HTTP_DRAIN="0")
    line = command("--state-dir", str(tmp_path / "var"), "--port", "0", "--workers", "3")
    with log.open("w") as out:
        process = subprocess.Popen(line, env=env, cwd=tmp_path, stdout=out, stderr=out)
    try:
        until(lambda: said in log.read_text(), 30, said)
        process.terminate()
        assert process.wait(10) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "cannot start" not in log.read_text()


class Starting:
    """A supervisor of three that is only starting; what is going on is read in its log."""

    def __init__(self, folder: Path, *options: str, **env: str) -> None:
        self.log = folder / "log"
        line = command("--state-dir", str(folder / "var"), "--port", "0", "--workers", "3")
        told = environment(IMD_BUS_URL=NO_BUS, IMD_HTTP_DRAIN="0", **env)
        with self.log.open("w") as out:
            self.process = subprocess.Popen([*line, *options], env=told, stdout=out, stderr=out)

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def __enter__(self) -> Starting:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        finally:
            self.process.kill()
            self.process.wait()


def test_a_database_that_fails_while_later_workers_start_is_waited_for(
    tmp_path: Path, breakable_postgres: PostgresServer
):
    url = breakable_postgres.create_database()
    with Starting(tmp_path, IMD_DATABASE_URL=url) as starting:
        until(lambda: starting.says("worker 1 serves"), 30, "the first serves")
        breakable_postgres.halt("immediate")
        until(lambda: starting.says("time(s) in a row"), 30, "one of the others ended")
        assert starting.process.poll() is None, starting.log.read_text()
        assert not starting.says("Starting IM server")
        breakable_postgres.start()
        until(lambda: starting.says("Starting IM server"), 60, "all serve")
    assert starting.process.returncode == 0


def test_settings_that_are_spoiled_while_later_workers_start_end_the_start(tmp_path: Path):
    config = tmp_path / "imd.toml"
    config.write_text("[limits]\nsend_burst = 20\n")
    with Starting(tmp_path, "--config", str(config)) as starting:
        until(lambda: starting.says("worker 1 serves"), 30, "the first serves")
        config.write_text("[limits]\nsend_burst = -1\n")
        assert starting.process.wait(30) == 1
    said = [line for line in starting.log.read_text().splitlines() if line.startswith("imd: ")]
    assert len(said) == 1 and "limits.send_burst" in said[0]


def test_a_socket_of_systemd_is_shared_by_the_workers(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        number = listener.getsockname()[1]
        options = ("--workers", "2")
        told = {"IMD_BUS_URL": NO_BUS, "IMD_HTTP_DRAIN": "0", "NOTIFY_SOCKET": ""}
        process = given_socket(listener, tmp_path, *options, **told)
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", number, timeout=30)) as asked:
                asked.request("GET", "/healthz")
                assert asked.getresponse().status == 200
            log = tmp_path / "log"
            until(lambda: f"running on port {number}," in log.read_text(), 20, "all serve")
            process.terminate()
            assert process.wait(6) == 0
            # systemd keeps it open for the next one
            socket.create_connection(("127.0.0.1", number)).close()
        finally:
            process.kill()
            process.wait(5)


def test_systemd_hears_of_all_workers_at_once_and_of_a_roll(tmp_path):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        with Team(tmp_path, 1, env=told) as team:
            assert systemd.recv(100) == b"READY=1"
            assert systemd.recv(100) == b"WATCHDOG=1"
            team.signal(signal.SIGHUP)
            said = [systemd.recv(100) for _ in range(2)]
            while said[-1] != b"READY=1":
                said.append(systemd.recv(100))
            assert any(one.startswith(b"RELOADING=1\nMONOTONIC_USEC=") for one in said)
            team.signal()
            while said[-1] != b"STOPPING=1":
                said.append(systemd.recv(100))
            assert team.ended(6) == 0


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
