"""The launcher itself: a test server must break on command and never outlive its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg2
import pytest

from tests.servers import NoPostgres, PostgresServer, ServerNotOurs, find_binaries

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest):
    try:
        find_binaries()
    except NoPostgres as error:
        pytest.skip(str(error))
    saved = os.environ.pop("IMD_TEST_DATABASE_URL", None)
    with PostgresServer() as running:
        yield running
    if saved is not None:
        os.environ["IMD_TEST_DATABASE_URL"] = saved


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _left(folders: list[str]) -> list[str]:
    return [folder for folder in folders if Path(folder).exists()]


def test_each_database_is_its_own(server: PostgresServer) -> None:
    first, second = server.create_database(), server.create_database()
    server.execute("CREATE TABLE t (n int)", url=first)
    assert server.execute("SELECT to_regclass('t')", url=second) == [(None,)]
    server.drop_database(first)
    with pytest.raises(psycopg2.OperationalError):
        server.execute("SELECT 1", url=first)


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_restart_keeps_port_and_data(server: PostgresServer, mode) -> None:
    url = server.create_database()
    server.execute("CREATE TABLE t (n int)", url=url)
    server.restart(mode)
    assert server.execute("SELECT count(*) FROM t", url=url) == [(0,)]


def test_a_paused_server_answers_nobody_until_resumed(server: PostgresServer) -> None:
    url = server.create_database()
    with server.paused(), pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url, connect_timeout=2)
    assert server.execute("SELECT 1", url=url) == [(1,)]


def test_a_killed_run_leaves_no_server_and_no_folder(server: PostgresServer) -> None:
    program = textwrap.dedent(
        """
        from tests.servers import PostgresServer
        server = PostgresServer().start()
        print(server.pid, server._folder, server._data, flush=True)
        input()
        """
    )
    environment = {k: v for k, v in os.environ.items() if k != "IMD_TEST_DATABASE_URL"}
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert run.stdout is not None
    pid, *folders = run.stdout.readline().split()
    assert not _gone(int(pid))
    run.send_signal(signal.SIGKILL)
    run.communicate()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not (_gone(int(pid)) and not _left(folders)):
        time.sleep(0.05)
    assert _gone(int(pid))
    assert not _left(folders)


def test_a_foreign_server_lends_databases_and_is_never_stopped(server: PostgresServer) -> None:
    with PostgresServer(url=server.url) as foreign:
        url = foreign.create_database()
        assert foreign.execute("SELECT 1", url=url) == [(1,)]
        with pytest.raises(ServerNotOurs):
            foreign.restart()
    with pytest.raises(psycopg2.OperationalError):
        server.execute("SELECT 1", url=url)
    assert server.execute("SELECT 1") == [(1,)]
