"""The one port: opened loudly, closed first (pages 2.8, 4.6 and 5.5).

Wiring opens it as the last step of a start, drain stops it as the first of a stop. It refuses to
know what is served there.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    IStreamServerEndpoint,
)
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from imd.config.checks import is_loopback
from imd.config.settings import HttpSettings

#: connections that wait for us in the kernel: as many as come back at once after a restart
BACKLOG = 4096
#: connections that are accepted in one turn of the reactor
ACCEPTS = 2
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CannotServe(Exception):
    """The server cannot serve, and the message is the one line that says why."""


def _certificate(chain_file: str, key_file: str) -> CertificateOptions:
    """TLS 1.2 and later with a certificate, those that vouch for it, and its key."""
    chain, key = Path(chain_file).read_bytes(), Path(key_file).read_bytes()
    first, *others = _CERTIFICATE.findall(chain)
    own = PrivateCertificate.loadPEM(first + b"\n" + key)
    options = CertificateOptions(
        privateKey=own.privateKey.original,
        certificate=own.original,
        extraCertChain=[Certificate.loadPEM(other).original for other in others],
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )
    options.getContext()
    return options


def secured(site: IProtocolFactory, http: HttpSettings, clock: Any) -> IProtocolFactory:
    """``site`` behind TLS when a certificate is configured, else as it is.

    Raises CannotServe naming the setting when certificate and key do not work.
    """
    if http.tls_cert is None or http.tls_key is None:
        return site
    try:
        certificate = _certificate(http.tls_cert, http.tls_key)
    except Exception as error:
        # Whatever it is (no PEM, another's key, a passphrase), the operator must look there.
        files = f"http.tls_cert {http.tls_cert} and http.tls_key {http.tls_key}"
        raise CannotServe(f"{files} cannot be used: {_reason(error)}") from None
    return TLSMemoryBIOFactory(certificate, False, site, clock)


def _reason(error: Exception) -> str:
    """OpenSSL's errors are lists of (library, function, reason)."""
    first = error.args[0] if error.args else ""
    if isinstance(first, list) and first:
        return str(first[0][-1])
    return str(error) or type(error).__name__


def _inherited(loopback_only: bool) -> tuple[int, socket.AddressFamily] | None:
    """The socket that systemd opened for us, if there is one."""
    try:
        # Twisted took LISTEN_FDS out of the environment; this is its only door to them.
        descriptor: int = serverFromString(None, "systemd:domain=INET:index=0").fileno
    except IndexError:
        return None
    with closing(socket.socket(fileno=os.dup(descriptor))) as given:
        family, address = given.family, given.getsockname()
    if loopback_only and not is_loopback(str(address[0])):
        raise CannotServe(
            f"auth.mode is trusted, which is for loopback only, but systemd opened {address[0]}"
        )
    return descriptor, family


def _address(http: HttpSettings) -> tuple[str, socket.AddressFamily]:
    interface = "127.0.0.1" if http.interface == "localhost" else http.interface
    is_6 = ipaddress.ip_address(interface).version == 6
    return interface, socket.AF_INET6 if is_6 else socket.AF_INET


def endpoint(
    reactor: IReactorTCP, http: HttpSettings, loopback_only: bool
) -> IStreamServerEndpoint:
    """Where to listen: systemd's socket, else ``http.interface`` and ``http.port``."""
    inherited = _inherited(loopback_only)
    if inherited is not None:
        return AdoptedStreamServerEndpoint(reactor, *inherited)
    interface, family = _address(http)
    kind = TCP6ServerEndpoint if family == socket.AF_INET6 else TCP4ServerEndpoint
    made: IStreamServerEndpoint = kind(reactor, http.port, backlog=BACKLOG, interface=interface)
    return made


@implementer(IProtocolFactory)
class Doorstep:
    """The factory before the port, which keeps it from taking all of a crowd in one turn."""

    def __init__(self, factory: IProtocolFactory) -> None:
        self._factory = factory
        self.doStart, self.doStop = factory.doStart, factory.doStop

    async def listen(self, endpoint: IStreamServerEndpoint) -> IListeningPort:
        """Be what the endpoint listens with."""
        port: Any = await endpoint.listen(self)
        accept = getattr(port, "doRead", None)
        if accept is not None:  # a port of the system, which accepts in turns

            def accept_some() -> Any:
                # Each turn anew: it takes more with each crowd, and a hundred of the first.
                port.numberAccepts = ACCEPTS
                return accept()

            port.doRead = accept_some
        listening: IListeningPort = port
        return listening

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """As the factory."""
        return self._factory.buildProtocol(addr)


async def open_port(
    reactor: Any, http: HttpSettings, site: IProtocolFactory, *, loopback_only: bool
) -> IListeningPort:
    """Listen; raises CannotServe with the reason when the port cannot be had.

    ``loopback_only`` (trusted mode) refuses a socket of systemd that others can reach; that
    ``http.interface`` is a loopback one, the config room has checked (page 2.1).
    """
    doorstep = Doorstep(secured(site, http, reactor))
    try:
        return await doorstep.listen(endpoint(reactor, http, loopback_only))
    except CannotListenError as error:
        raise _taken(http, error.socketError) from None


def _taken(http: HttpSettings, error: OSError) -> CannotServe:
    reason = getattr(error, "strerror", None) or error
    return CannotServe(f"cannot listen on {http.interface} port {http.port}: {reason}")


def open_shared(http: HttpSettings, *, loopback_only: bool) -> socket.socket:
    """Listen for others, who accept: systemd's socket, else a new one; as :func:`open_port`."""
    inherited = _inherited(loopback_only)
    if inherited is not None:
        return socket.socket(fileno=inherited[0])
    interface, family = _address(http)
    shared = socket.socket(family, socket.SOCK_STREAM)
    try:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        shared.bind((interface, http.port))
        shared.listen(BACKLOG)
    except OSError as error:
        shared.close()
        raise _taken(http, error) from None
    return shared


def is_listening(descriptor: int) -> bool:
    """Whether the descriptor is that of a listening socket."""
    try:
        with closing(socket.socket(fileno=os.dup(descriptor))) as given:
            return bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


async def adopt_port(
    reactor: Any, http: HttpSettings, site: IProtocolFactory, descriptor: int
) -> IListeningPort:
    """Accept on a listening socket that the supervisor opened."""
    doorstep = Doorstep(secured(site, http, reactor))
    with closing(socket.socket(fileno=os.dup(descriptor))) as given:
        family = given.family
    shared = AdoptedStreamServerEndpoint(reactor, descriptor, family)
    return await doorstep.listen(shared)


def port_number(port: IListeningPort) -> int:
    """The number that the system gave, also for port 0."""
    number: int = port.getHost().port  # type: ignore[attr-defined]
    return number
