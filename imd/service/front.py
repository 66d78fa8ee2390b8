"""What stands behind the port: REST, the pages beside it and the socket, as one site (page 2.8).

:mod:`imd.service.wiring` builds it last, on the finished house. It refuses to know what any route
or frame means.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from imd.actions.ports import House
from imd.config import Settings
from imd.delivery.admission import Admission
from imd.rest.channel import HardenedSite
from imd.rest.dispatch import Dispatch
from imd.rest.framing import Limits
from imd.rest.routes import ROUTES
from imd.rest.site import build_root
from imd.rest.table import Table
from imd.service.health import Readiness
from imd.websocket.factory import build_sockets


@dataclass(frozen=True, slots=True)
class Front:
    """The site, and what its farewell needs; see :class:`imd.service.drain.Drain`."""

    site: HardenedSite
    idle: Callable[[], Awaitable[Any]]
    close_idle: Callable[[], None]
    close_sockets: Callable[[float], Awaitable[Any] | None]
    connections: Callable[[], int]


def build_front(
    settings: Settings, reactor: Any, house: House, admission: Admission, readiness: Readiness
) -> Front:
    """The site of this process."""
    http, limits = settings.http, settings.limits
    dispatch = Dispatch(
        house,
        clock=reactor,
        request_timeout=http.request_timeout,
        allowed_origins=http.allowed_origins,
        trusted_proxies=http.trusted_proxies,
        body_limit=limits.body,
    )
    sockets = build_sockets(settings, reactor, house, admission)
    root = build_root(dispatch, Table(ROUTES), leaves={b"ws": sockets.resource})
    site = HardenedSite(root, Limits(body=limits.body), reactor=reactor)

    def close_idle() -> None:
        dispatch.draining = True
        site.drain()

    return Front(site, dispatch.idle, close_idle, sockets.drain, lambda: len(site.channels))
