"""The proxy does to a connection what its weather says, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import FINE, Proxy, Weather

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(4096):
            writer.write(b"<" + data + b">")
            await writer.drain()
        writer.write(b"bye")
        writer.write_eof()
        await reader.read()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def _proxied() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    proxy = await Proxy(server.sockets[0].getsockname()[1]).start()
    try:
        yield proxy
    finally:
        await proxy.stop()
        server.close()


async def _open(proxy: Proxy) -> Streams:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def _ask(streams: Streams, data: bytes) -> bytes:
    streams[1].write(data)
    return await asyncio.wait_for(streams[0].read(4096), 5)


def _run(test: Callable[[Proxy], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with asyncio.timeout(20), _proxied() as proxy:
            await test(proxy)

    asyncio.run(inside())


def test_it_passes_both_ways() -> None:
    async def test(proxy: Proxy) -> None:
        assert await _ask(await _open(proxy), b"a") == b"<a>"

    _run(test)


def test_it_delays() -> None:
    async def test(proxy: Proxy) -> None:
        streams = await _open(proxy)
        proxy.set(Weather(delay=0.1))
        begun = asyncio.get_running_loop().time()
        assert await _ask(streams, b"a") == b"<a>"
        assert asyncio.get_running_loop().time() - begun >= 0.2

    _run(test)


def test_a_cut_ends_open_connections_and_not_later_ones() -> None:
    async def test(proxy: Proxy) -> None:
        streams = await _open(proxy)
        assert await _ask(streams, b"a") == b"<a>"
        proxy.cut()
        with pytest.raises((ConnectionError, AssertionError)):
            assert await _ask(streams, b"b") == b"<b>"
        assert await _ask(await _open(proxy), b"c") == b"<c>"

    _run(test)


def test_a_black_hole_keeps_everything_until_it_is_over() -> None:
    async def test(proxy: Proxy) -> None:
        streams = await _open(proxy)
        assert await _ask(streams, b"a") == b"<a>"
        proxy.set(Weather(silent=True))
        waiting = asyncio.ensure_future(_ask(streams, b"b"))
        late = await _open(proxy)
        also = asyncio.ensure_future(_ask(late, b"c"))
        done, _ = await asyncio.wait({waiting, also}, timeout=0.2)
        assert not done
        proxy.set(FINE)
        assert (await waiting, await also) == (b"<b>", b"<c>")

    _run(test)


def test_it_refuses() -> None:
    async def test(proxy: Proxy) -> None:
        proxy.set(Weather(refusing=True))
        streams = await _open(proxy)
        with pytest.raises((ConnectionError, AssertionError)):
            assert await _ask(streams, b"a") == b"<a>"

    _run(test)


def test_it_loses_an_answer_and_not_what_was_asked() -> None:
    async def test(proxy: Proxy) -> None:
        streams = await _open(proxy)
        proxy.set(Weather(cut_answers=True))
        with pytest.raises((ConnectionError, AssertionError)):
            assert await _ask(streams, b"a") == b"<a>"
        assert proxy.passed == 1

    _run(test)


def test_one_way_may_be_deaf() -> None:
    async def test(proxy: Proxy) -> None:
        streams = await _open(proxy)
        proxy.set(Weather(deaf_to="server"))
        waiting = asyncio.ensure_future(_ask(streams, b"a"))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        assert proxy.passed == 1
        proxy.set(FINE)
        assert await waiting == b"<a>"

    _run(test)


def test_a_half_close_leaves_the_other_way() -> None:
    async def test(proxy: Proxy) -> None:
        streams = await _open(proxy)
        assert await _ask(streams, b"a") == b"<a>"
        proxy.half_close("server")
        assert await asyncio.wait_for(streams[0].read(), 5) == b"bye"

    _run(test)
