"""The peer in Node.js (``bench/peers/node``), fetched by npm as its lock file says.

Nothing of imd needs it. Where there is no ``node`` or the packages cannot be had, the bench leaves
its rows out and says so.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

from bench.peers import BUILD, NotHere
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
    wanted = (_SOURCE / "package-lock.json").read_bytes()
    stamp = folder / "installed"
    for name in _FILES:
        shutil.copyfile(_SOURCE / name, folder / name)
    if not stamp.exists() or stamp.read_bytes() != wanted:
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode:
            raise NotHere(f"the peer in Node.js: npm ci failed: {done.stderr.strip()[-300:]}")
        stamp.write_bytes(wanted)
    return folder


def node(url: str, database: int) -> AbstractContextManager[Served]:
    """The server on a database with ``seed.sql``; NotHere."""
    folder = _installed()
    command = ["/usr/bin/env", "NODE_ENV=production", "node", folder / "server.js", url]
    return printing_port(command, database)
