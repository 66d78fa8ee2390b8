"""The peer in Node.js (``bench/peers/node``), fetched by npm as its lock file says.

Nothing of imd needs it. Where there is no ``node`` or the packages cannot be had, the bench leaves
its rows out and says so.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from bench.peers import BUILD, NotHere, made
from bench.servers import Served, printing_port

_SOURCE = Path(__file__).parent / "node"
_FILES = ("package.json", "package-lock.json", "server.js")


def _installed() -> Path:
    """The folder with the server and its packages, made now or before; NotHere."""
    folder = BUILD / "node"
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotHere(f"the peer in Node.js: no {program} on the PATH")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(_SOURCE / name, folder / name)
    fetch = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1"]
    wanted = (_SOURCE / "package-lock.json").read_text()
    made("the peer in Node.js", folder, wanted, [fetch])
    return folder


def node(url: str, database: int) -> AbstractContextManager[Served]:
    """The server on a database with ``seed.sql``; NotHere."""
    folder = _installed()
    command = ["/usr/bin/env", "NODE_ENV=production", "node", folder / "server.js", url]
    return printing_port(command, database)
