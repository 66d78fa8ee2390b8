"""A TCP proxy that misbehaves on demand: between clients and imd, imd and its database or Redis.

Weather is changed while connections run, for those that are open and for those to come. It runs
in the loop of whoever started it, so a slow test slows the network; it never looks at what passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

#: bytes taken at a time; small enough that a slow reader stops a fast writer
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Weather:
    """What happens to bytes: ``delay`` in seconds, for each chunk and each way.

    ``silent``: nothing passes and nobody is told; what was written waits. ``refusing``: whoever
    connects is dropped at once. ``deaf_to``: ``"client"`` or ``"server"``, whose bytes do not
    pass while the others' do. ``cut_answers``: a connection is dropped at the first byte of an
    answer, which is lost.
    """

    delay: float = 0.0
    silent: bool = False
    refusing: bool = False
    deaf_to: str = ""
    cut_answers: bool = False


FINE = Weather()


class Pipe:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.client: asyncio.StreamWriter | None = None
        self.server: asyncio.StreamWriter | None = None
        #: sides that were told that nothing more comes
        self.closed: set[str] = set()

    def writer(self, side: str) -> asyncio.StreamWriter | None:
        return self.client if side == "client" else self.server

    def cut(self) -> None:
        """End both ways at once, without a farewell."""
        for writer in (self.client, self.server):
            if writer is not None:
                writer.transport.abort()

    def half_close(self, side: str) -> None:
        """Tell one side that the other has finished; the other way goes on."""
        writer = self.writer(side)
        if writer is not None and side not in self.closed:
            self.closed.add(side)
            with suppress(OSError, RuntimeError):
                writer.write_eof()


class Proxy:
    """Listens on a port of 127.0.0.1 and passes on to another, which may change."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, 0
        self.weather = FINE
        self.pipes: set[Pipe] = set()
        #: connections that came, and bytes that passed, so far
        self.connections = self.passed = 0
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Proxy:
        """Open the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Drop everything and close the port."""
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, weather: Weather) -> None:
        """Change the weather; what waited in a black hole passes when it is over."""
        self.weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self) -> None:
        """Drop every open connection."""
        for pipe in list(self.pipes):
            pipe.cut()

    def half_close(self, side: str) -> None:
        """Half close every open connection towards one side."""
        for pipe in list(self.pipes):
            pipe.half_close(side)

    async def until(self, condition: Callable[[Weather], bool]) -> None:
        """Wait for weather."""
        while not condition(self.weather):
            await self._changed.wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = Pipe(self)
        pipe.client = writer
        self.pipes.add(pipe)
        self.connections += 1
        task = asyncio.ensure_future(self._carry(pipe, reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, pipe: Pipe, reader: asyncio.StreamReader) -> None:
        try:
            await self._serve(pipe, reader)
        except OSError:
            pass  # One side has gone; so shall the other.
        finally:
            pipe.cut()
            self.pipes.discard(pipe)

    async def _serve(self, pipe: Pipe, reader: asyncio.StreamReader) -> None:
        if self.weather.refusing:
            return
        await self.until(lambda weather: not weather.silent)
        answers, pipe.server = await asyncio.open_connection("127.0.0.1", self.target, limit=_CHUNK)
        both = [
            asyncio.ensure_future(self._pass_on(pipe, reader, "server")),
            asyncio.ensure_future(self._pass_on(pipe, answers, "client")),
        ]
        try:
            await asyncio.gather(*both)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _pass_on(self, pipe: Pipe, reader: asyncio.StreamReader, side: str) -> None:
        """Carry bytes towards ``side`` until there are no more, and then tell it so."""
        deaf_to = "client" if side == "server" else "server"
        while data := await reader.read(_CHUNK):
            if self.weather.delay:
                await asyncio.sleep(self.weather.delay)
            await self.until(lambda weather: not weather.silent and weather.deaf_to != deaf_to)
            if side == "client" and self.weather.cut_answers:
                pipe.cut()
                return
            writer = pipe.writer(side)
            assert writer is not None
            if side in pipe.closed:
                return
            writer.write(data)
            self.passed += len(data)
            await writer.drain()
        await self.until(lambda weather: not weather.silent and weather.deaf_to != deaf_to)
        pipe.half_close(side)
