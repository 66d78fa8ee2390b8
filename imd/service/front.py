"""What stands behind the port: REST, the pages beside it and the socket, as one site (page 2.8).

:mod:`imd.service.wiring` builds it last, on the finished house. It refuses to know what any route
or frame means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from twisted.internet.threads import deferToThreadPool

from imd import __version__
from imd.actions.ports import House
from imd.config import Settings
from imd.delivery.admission import Admission
from imd.rest.admission import Admission as Gate
from imd.rest.channel import HardenedSite
from imd.rest.dispatch import Dispatch, Doors
from imd.rest.framing import Limits
from imd.rest.origins import Origins
from imd.rest.pages import Check, File
from imd.rest.peers import Peers
from imd.rest.routes import API
from imd.rest.site import build_root
from imd.service.console import Watching, mount
from imd.web.files import read_docs
from imd.web.sdk import read_sdk
from imd.websocket import asyncapi
from imd.websocket.factory import Sockets
from imd.websocket.room import SocketSettings


@dataclass(frozen=True, slots=True)
class Front:
    """The site and its two halves, which a farewell needs (:class:`imd.service.drain.Drain`)."""

    site: HardenedSite
    dispatch: Dispatch
    sockets: Sockets

    def last_call(self) -> None:
        """Not ready from now on, and each connection is closed soon or after its next answer."""
        self.dispatch.doors = Doors.LAST_CALL
        self.site.drain()

    def shut(self) -> None:
        """New requests are refused from now on."""
        self.dispatch.doors = Doors.SHUT


def build_front(
    settings: Settings,
    reactor: Any,
    house: House,
    admission: Admission,
    checks: Mapping[str, Check],
    watching: Watching,
    degraded: Callable[[], list[str]],
) -> Front:
    """The site of this process; ``checks`` say by name whether it is ready, ``degraded`` what does
    less than it should."""
    http, limits = settings.http, settings.limits
    dispatch = Dispatch(
        house,
        clock=reactor,
        request_timeout=http.request_timeout,
        allowed_origins=http.allowed_origins,
        trusted_proxies=http.trusted_proxies,
        body_limit=limits.body,
        observe=watching.metrics.observe,
    )
    peers = Peers(http.trusted_proxies)
    sockets = Sockets(
        house,
        admission,
        socket_settings(settings),
        reactor,
        random=Random(),
        is_secure=peers.is_secure,
        client_address=peers.client,
    )
    gate = Gate(house, peers, Origins(http.allowed_origins, peers))
    mounted = mount(dispatch, gate, watching, console=settings.console.enabled)
    root = build_root(
        dispatch,
        clock=reactor,
        version=__version__,
        checks=checks,
        degraded=degraded,
        documents={f"{API}/asyncapi.json": partial(asyncapi.encoded, __version__)},
        aside=partial(deferToThreadPool, reactor, reactor.getThreadPool()),
        files={path: File(*found) for path, found in {**read_docs(), **read_sdk()}.items()},
        leaves={b"ws": sockets.resource, **mounted.leaves},
        trees=mounted.trees,
    )
    site = HardenedSite(root, Limits(body=limits.body), reactor=reactor)
    return Front(site, dispatch, sockets)


def socket_settings(settings: Settings) -> SocketSettings:
    """What the socket room needs of the settings."""
    socket = settings.websocket
    return SocketSettings(
        heartbeat=socket.heartbeat,
        peer_timeout=socket.peer_timeout,
        login_timeout=socket.login_timeout,
        buffer=settings.limits.socket_buffer,
        frame=settings.limits.body,
        compression=socket.compression,
        allowed_origins=frozenset(settings.http.allowed_origins),
    )
