"""The one port: opened loudly, closed first (pages 2.8, 4.6 and 5.5).

Wiring opens it as the last step of a start, drain stops it as the first of a stop. It refuses to
know what is served there.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from OpenSSL import SSL
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLContextFactory,
    IProtocolFactory,
    IReactorTCP,
    IStreamServerEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from imd.config.settings import HttpSettings

BACKLOG = 1024


class CannotServe(Exception):
    """The server cannot serve, and the message is the one line that says why."""


@implementer(IOpenSSLContextFactory)
class _Certificate:
    """TLS 1.2 and later with a certificate chain and key from PEM files."""

    def __init__(self, chain: str, key: str) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.use_certificate_chain_file(chain)
        context.use_privatekey_file(key)
        context.check_privatekey()
        self._context = context

    def getContext(self) -> SSL.Context:
        """The one context, shared by all connections."""
        return self._context


def secured(site: IProtocolFactory, http: HttpSettings, clock: Any) -> IProtocolFactory:
    """``site`` behind TLS when a certificate is configured, else as it is.

    Raises CannotServe naming the setting when certificate and key do not work.
    """
    if http.tls_cert is None or http.tls_key is None:
        return site
    try:
        certificate = _Certificate(http.tls_cert, http.tls_key)
    except SSL.Error as error:
        reason = error.args[0][0][-1] if error.args and error.args[0] else "not a PEM file"
        files = f"http.tls_cert {http.tls_cert} and http.tls_key {http.tls_key}"
        raise CannotServe(f"{files} cannot be used: {reason}") from None
    return TLSMemoryBIOFactory(certificate, False, site, clock)


def _inherited(reactor: Any) -> IStreamServerEndpoint | None:
    """The socket that systemd opened for us, if there is one."""
    try:
        found: IStreamServerEndpoint = serverFromString(reactor, "systemd:domain=INET:index=0")
    except IndexError:
        return None
    return found


def endpoint(reactor: IReactorTCP, http: HttpSettings) -> IStreamServerEndpoint:
    """Where to listen: systemd's socket, else ``http.interface`` and ``http.port``."""
    inherited = _inherited(reactor)
    if inherited is not None:
        return inherited
    interface = "127.0.0.1" if http.interface == "localhost" else http.interface
    kind = (
        TCP6ServerEndpoint if ipaddress.ip_address(interface).version == 6 else TCP4ServerEndpoint
    )
    made: IStreamServerEndpoint = kind(reactor, http.port, backlog=BACKLOG, interface=interface)
    return made


async def open_port(reactor: Any, http: HttpSettings, site: IProtocolFactory) -> IListeningPort:
    """Listen; raises CannotServe with the reason when the port cannot be had."""
    factory = secured(site, http, reactor)
    try:
        return await endpoint(reactor, http).listen(factory)
    except CannotListenError as error:
        reason = getattr(error.socketError, "strerror", None) or error.socketError
        where = f"{http.interface} port {http.port}"
        raise CannotServe(f"cannot listen on {where}: {reason}") from None


def port_number(port: IListeningPort) -> int:
    """The number that the system gave, also for port 0."""
    number: int = port.getHost().port  # type: ignore[attr-defined]
    return number
