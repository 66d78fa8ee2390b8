"""What is hurt in a run: nodes of imd, one database, one Redis, and the proxies between them.

Every node has three proxies of its own: clients come in through one, its database and its Redis
are reached through the others. Faults (:mod:`tests.faults.catalogue`) act on these and on the
processes behind them.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.e2e.server import NO_LIMITS, STOP_SECONDS, Imd, clean_environment
from tests.faults.proxy import Proxy
from tests.servers import PostgresServer

_IMDCTL = "from imd.cli.main import main; main()"
#: seconds of the drain in a run, and what a loaded machine is granted beyond page 4.6
DRAIN, SLOW = 1, 3
#: seconds between two sweeps, the default (page 4.3)
SWEEP = 2.0
LAUNCH = Path(__file__).with_name("launch.py")
#: short clocks, so that a short run sees what they bring about
SETTINGS = {
    **NO_LIMITS,
    "IMD_HTTP_REQUEST_TIMEOUT": "3",
    "IMD_HTTP_DRAIN": str(DRAIN),
    "IMD_WEBSOCKET_HEARTBEAT": "2",
    "IMD_WEBSOCKET_PEER_TIMEOUT": "6",
    "IMD_LIMITS_FAILED_LOGINS_PER_MINUTE": "0",
    "IMD_CONSOLE_ENABLED": "false",
}


@dataclass
class Node:
    """One process of imd with what stands around it."""

    number: int
    imd: Imd
    clients: Proxy
    database: Proxy | None
    bus: Proxy | None
    clock: Path
    #: processes under a supervisor; 0: one process alone
    workers: int = 0
    #: how often it was started, and the crash point of this start
    lives: int = 0
    #: whether its end was asked for, and whether this life came as far as to answer
    expected: bool = False
    served: bool = False
    #: characters of its log that former lives wrote
    wrote: int = 0
    #: exits that were not asked for, or came otherwise than they should
    trouble: list[str] = field(default_factory=list)

    #: kept down by a fault, so that nobody starts it again
    held: bool = False
    crash_at: str = ""

    def launch(self) -> None:
        """Start the process; call it in the main thread."""
        self.lives, self.wrote = self.lives + 1, len(self.imd.out)
        program = [sys.executable, "-P", str(LAUNCH)]
        if self.workers:
            program += ["--workers", str(self.workers)]
        self.imd.launch(program, FAULTS_CLOCK=str(self.clock), CRASH_AT=self.crash_at)

    async def ready(self) -> None:
        await asyncio.to_thread(self.imd.ready)

    def serves(self) -> bool:
        """Whether it answers, all workers of it: until then it may give up its start."""
        return self.imd.answers("/healthz") and "Starting IM server" in self.imd.out[self.wrote :]

    def kill(self) -> None:
        """kill -9, asked for."""
        self.expected = True
        self.imd.kill()

    async def terminate(self) -> None:
        """SIGTERM; it must exit 0 within the drain and 5 s more (page 4.6)."""
        if not self.imd.alive:
            return
        self.expected = True
        if not self.served:  # Python itself has no handler yet
            self.imd.kill()
            return
        begun = time.monotonic()
        self.imd.signal(signal.SIGTERM)
        while self.imd.alive and time.monotonic() < begun + STOP_SECONDS:
            await asyncio.sleep(0.05)
        took, status = time.monotonic() - begun, self.imd.status
        if status != 0 or took > DRAIN + 5 + SLOW:
            self.trouble.append(f"exit status {status} {took:.1f} s after SIGTERM")
            self.imd.kill()

    def keep(self) -> None:
        """Start it again when it has ended, as a supervisor does; note what nobody asked for."""
        if self.imd.alive or self.held:
            return
        if not self.expected and self.served:
            self.trouble.append(f"exit status {self.imd.status}, which nobody asked for")
        self.expected = self.served = False
        self.launch()


class World:
    """Everything that runs; ``postgres`` None is one node on SQLite."""

    def __init__(
        self,
        folder: Path,
        nodes: int,
        postgres: PostgresServer | None,
        redis: Any = None,
        *,
        workers: int = 0,
        source: Path | None = None,
        **settings: str,
    ) -> None:
        """``workers`` is how many each node has; 0: a node is one process.

        ``source`` is a folder with another imd; ``settings`` are environment variables.
        """
        assert nodes == 1 or postgres is not None, "SQLite is for one process"
        self.folder, self.postgres, self.redis = folder, postgres, redis
        self.nodes: list[Node] = []
        self.workers = workers
        self._wanted, self._settings = nodes, {**SETTINGS, **settings}
        if source is not None:
            self._settings["FAULTS_SOURCE"] = str(source)
        self.url, self.key = "", ""
        self._keeper: asyncio.Task[None] | None = None

    @property
    def ports(self) -> list[int]:
        """Where clients reach the nodes."""
        return [node.clients.port for node in self.nodes]

    async def start(self) -> World:
        """Start everything; the database of the run is new and empty."""
        if self.postgres is not None:
            self.url = await asyncio.to_thread(self.postgres.create_database)
        for number in range(self._wanted):
            self.nodes.append(await self._node(number))
        await asyncio.to_thread(self._prepare)
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            await node.ready()
        self._keeper = asyncio.ensure_future(self._keep())
        return self

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for node in self.nodes:
                node.keep()
                if not node.served and node.imd.alive:
                    node.served = await asyncio.to_thread(node.serves)

    async def _node(self, number: int) -> Node:
        settings, database, bus = dict(self._settings), None, None
        url = self.url
        if self.postgres is not None:
            database = await Proxy(self.postgres.port).start()
            url = _through(url, database.port)
        if self.redis is not None:
            bus = await Proxy(self.redis.port).start()
            settings["IMD_BUS_URL"] = f"redis://127.0.0.1:{bus.port}/0"
        state = self.folder / f"node{number}"
        imd = Imd(state, url or None, **settings)
        if not self.url:
            self.url = f"sqlite:///{state / 'imd.db'}"
        clients = await Proxy(imd.port).start()
        return Node(number, imd, clients, database, bus, state / "clock", self.workers)

    async def stop(self) -> None:
        """End every process and proxy of the run; the servers stay."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for node in self.nodes:
            node.imd.kill()
            for proxy in (node.clients, node.database, node.bus):
                if proxy is not None:
                    await proxy.stop()
        if self.postgres is not None and self.url:
            await asyncio.to_thread(self.postgres.drop_database, self.url)

    def _prepare(self) -> None:
        """The tables, and a service key with all scopes, made as an operator makes them."""
        self._imdctl("migrate")
        made = json.loads(self._imdctl("key", "add", "hospital", "--scope", "admin"))
        self.key = made["key"]

    def _imdctl(self, *command: str) -> bytes:
        imd = self.nodes[0].imd
        settings = {**imd.settings, "IMD_DATABASE_URL": self.url}
        source = settings.get("FAULTS_SOURCE")
        done = subprocess.run(
            [sys.executable, "-c", _IMDCTL, "--state-dir", imd.state, *command],
            env={**clean_environment(), **settings, "PYTHONPATH": source or str(LAUNCH.parents[2])},
            cwd=imd.state, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


def _through(url: str, port: int) -> str:
    """The URL with another port: a proxy's."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{host}:{port}"))


def limit_files(pid: int, size: int | None) -> None:
    """Let a process write no file beyond ``size`` bytes, as if its disk were full."""
    wanted = resource.RLIM_INFINITY if size is None else size
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (wanted, hard))


def processes_of(parent: int) -> list[int]:
    """The children of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent:
            found.append(int(folder.name))
    return sorted(found)
