"""A PostgreSQL whose connections die at a commit: a small TCP proxy that cuts when it sees one.

``before``: the server never gets the COMMIT. ``after``: it carries the COMMIT out, but the answer
is never passed on. Runs in threads, because psycopg2 blocks its own.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Mode = Literal["before", "after"]


class Proxy:
    """Passes everything on until :attr:`armed`; then cuts the first connections that match."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.mode: Mode = "before"
        #: how many commits are still to be cut
        self.armed = 0
        self.cut = 0
        #: which statements count as one to cut
        self.matches: Callable[[bytes], bool] = lambda data: (
            b"COMMIT" in data and b"log_insert" in data
        )
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """The same database, through the proxy."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.port}"))

    def close(self) -> None:
        self._listener.close()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += (client, server)
                pair = threading.Thread(target=self._serve, args=(client, server), daemon=True)
                pair.start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        silent = threading.Event()
        threading.Thread(target=self._back, args=(client, server, silent), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := self._whole(client):
                if self._fires(data):
                    if self.mode == "after":
                        silent.set()
                        server.sendall(data)
                        return  # the other direction closes when the server has answered
                    break
                server.sendall(data)
        self._end(client, server)

    @staticmethod
    def _whole(client: socket.socket) -> bytes:
        """What has come, and the rest of its last message where that is a query."""
        data = client.recv(65536)
        if data[:1] == b"Q":
            while len(data) < 1 + int.from_bytes(data[1:5], "big"):
                more = client.recv(65536)
                if not more:
                    break
                data += more
        return data

    def _fires(self, data: bytes) -> bool:
        with self._lock:
            if not self.armed or not self.matches(data):
                return False
            self.armed -= 1
            self.cut += 1
            return True

    def _back(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if silent.is_set():
                    break
                client.sendall(data)
        self._end(client, server)

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of the database, and the URL that goes through it."""
    port = urlsplit(url).port
    assert port is not None
    proxy = Proxy(port)
    try:
        yield proxy, proxy.url(url)
    finally:
        proxy.close()
