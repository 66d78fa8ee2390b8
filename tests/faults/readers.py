"""Pages that log in and never read again, while much is said to them (F15).

They go on speaking, so that no silence gives them away, and
live in a session of the fault's own, which the run's last look leaves out. Others must not
notice: that is for the checkers. What it costs the node is looked at here.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from tests.e2e.rawsocket import PONG, RawSocket, masked
from tests.e2e.rest import Rest
from tests.e2e.server import token
from tests.faults.fault import Fault, Shelf
from tests.faults.truth import BESIDE
from tests.faults.world import Node, World, processes_of

_shelf = Shelf()
#: pages of the fault, bytes of one message, and bytes of ``limits.socket_buffer`` with a margin
READERS, LARGE, BUFFER = 20, "长" * 20_000, 3 << 19
#: what a process may grow by, and seconds in which each reader is dropped
GROWTH, PATIENCE = 64 << 20, 15.0
_USER, _SESSION = "p8", f"{BESIDE}deaf"


@_shelf.put("readers")
async def deaf_readers(world: World, random: Random) -> AsyncIterator[None]:
    """Pages that never read are told more than anybody keeps for them."""
    node = random.choice(world.nodes)
    before = _memory(node)
    readers: list[RawSocket] = []
    speaking = asyncio.ensure_future(_speak(readers))
    try:
        told = False
        with suppress(OSError, EOFError, TimeoutError, AssertionError):
            async with asyncio.timeout(PATIENCE):
                await _come(world, node, readers)
                told = await _tell(world, node)
        yield
        if told:
            await _judge(node, before, readers)
    finally:
        speaking.cancel()
        for reader in readers:
            reader.close()


async def _come(world: World, node: Node, readers: list[RawSocket]) -> None:
    async with Rest(node.imd.port, world.key) as rest:
        await rest.open_session(_SESSION, "D8:doctor", f"{_USER}:patient")
    credential = token(_USER, "patient")
    for _ in range(READERS):
        # Not through the proxy: that one reads.
        reader = await asyncio.to_thread(RawSocket, node.imd.port, timeout=3, receive_buffer=4096)
        readers.append(reader)
        await asyncio.to_thread(reader.log_in, credential, "patient", _SESSION)


async def _tell(world: World, node: Node) -> bool:
    """Say more than the kernel and imd hold for a reader; whether all of it was stored."""
    said, body = 0, {"type": 1, "content": LARGE, "sender_id": "D8"}
    async with Rest(node.imd.port, world.key) as rest:
        while said < _kernel_holds() + BUFFER:
            (await rest.ask("POST", f"/sessions/{_SESSION}/messages", body)).must(201)
            said += len(LARGE.encode())
    return True


async def _speak(readers: list[RawSocket]) -> None:
    while True:
        await asyncio.sleep(1)
        for reader in list(readers):
            with suppress(OSError):
                reader.socket.send(masked(b"", PONG), socket.MSG_DONTWAIT)


async def _judge(node: Node, before: dict[int, int], readers: list[RawSocket]) -> None:
    after = _memory(node)
    # Of one process: those that were only starting have grown by all that they are.
    grown = max((after[pid] - before[pid] for pid in after.keys() & before.keys()), default=0)
    if grown > GROWTH:
        node.trouble.append(f"{READERS} pages that never read cost {grown >> 20} MiB")
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not all(map(_is_dropped, readers)):
                await asyncio.sleep(0.1)
    kept = sum(not _is_dropped(reader) for reader in readers)
    if kept:
        node.trouble.append(f"{kept} pages that never read were still kept {PATIENCE:g} s later")


def _kernel_holds() -> int:
    return int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2]) + (1 << 16)


def _memory(node: Node) -> dict[int, int]:
    """Resident bytes of each process of the node."""
    found = {}
    if node.imd.alive:
        for pid in (node.imd.pid, *processes_of(node.imd.pid)):
            with suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                found[pid] = pages * os.sysconf("SC_PAGE_SIZE")
    return found


def _is_dropped(reader: RawSocket) -> bool:
    """Whether the server has given it up; nothing is read."""
    looking = select.poll()
    looking.register(reader.socket, 0)
    return bool(looking.poll(0))


READER_FAULTS: Final[dict[str, Fault]] = _shelf.faults
