"""From options to a service, without a process: what twistd calls, on a reactor in memory."""

from __future__ import annotations

import msgspec
import pytest
from twisted.application import service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver

from imd.config import defaults
from imd.domain.errors import Unavailable
from imd.service import leaving, standing, tap
from imd.service.listening import CannotServe, open_port, port_number
from imd.service.options import Options
from imd.service.ordered import Steps


def parsed(*words: str) -> Options:
    options = Options()
    options.parseOptions(list(words))
    return options


def test_options_that_are_not_given_are_none():
    assert set(dict(parsed()).values()) == {None}
    options = parsed("--profile=test", "--port", "0", "--interface", "::1", "--state-dir=x")
    assert options["profile"] == "test"
    assert options.overrides() == {"http.interface": "::1", "http.port": "0"}


@pytest.mark.parametrize("words", [("--nope",), ("--port",), ("word",), ("-x",)])
def test_a_wrong_option_is_one_line(words):
    with pytest.raises(SystemExit) as refused:
        parsed(*words)
    assert str(refused.value.code).startswith("imd: ")
    assert "\n" not in str(refused.value.code)


def test_settings_are_refused_with_a_line_each(monkeypatch):
    monkeypatch.setenv("IM_PROFILE", "dev")

    async def serve(*_: object) -> None:
        raise AssertionError("nothing runs")

    with pytest.raises(SystemExit) as refused:
        tap.make_service(parsed("--port=x", "--interface=0.0.0.0"), MemoryReactorClock(), serve)
    lines = str(refused.value.code).splitlines()
    assert [line.split(":")[1] for line in lines] == [" http.port", " auth.mode"]


class Server:
    """A service on a reactor in memory, and what it did to the process."""

    def __init__(self, monkeypatch, tmp_path, serve) -> None:
        self.said: list[str] = []
        self.failed: list[object] = []
        self.last: list[float] = []
        monkeypatch.setattr(leaving, "say", self.said.append)
        monkeypatch.setattr(leaving, "fail", self.failed.append)
        monkeypatch.setattr(leaving, "leave_within", self.last.append)
        self.reactor = MemoryReactorClock()
        options = parsed("--state-dir", str(tmp_path), "--port", "0")
        self.service = tap.make_service(options, self.reactor, serve)


def test_it_starts_and_stops(monkeypatch, tmp_path):
    did: list[object] = []

    async def serve(settings, reactor, steps: Steps) -> None:
        did.append((settings.profile, settings.http.port, reactor))
        steps.add("thing", lambda: did.append("stopped"), 1.0)

    server = Server(monkeypatch, tmp_path, serve)
    server.service.startService()
    assert did == [("dev", 0, server.reactor)]
    done: list[object] = []
    server.service.stopService().addCallback(done.append)
    assert did[1:] == ["stopped"] and done == [None]
    assert server.last == [10 + standing.LAST_RESORT] and server.said == server.failed == []
    assert standing.LAST_RESORT < 5


@pytest.mark.parametrize(
    "error, line",
    [
        (CannotServe("cannot listen"), "imd: cannot listen"),
        (OSError(13, "Permission denied"), "imd: [Errno 13] Permission denied"),
        (Unavailable("no database"), "imd: no database"),
        (KeyError("words"), "imd: the start failed: KeyError (see the log)"),
    ],
)
def test_a_failed_start_says_so_in_one_line_and_ends_the_process(
    monkeypatch, tmp_path, error, line
):
    async def serve(settings, reactor, steps) -> None:
        raise error

    server = Server(monkeypatch, tmp_path, serve)
    server.service.startService()
    assert server.said == [line] and server.failed == [server.reactor]


def test_the_log_is_ours_unless_twistd_was_told_otherwise(monkeypatch, tmp_path):
    async def serve(*_: object) -> None:
        return None

    server = Server(monkeypatch, tmp_path, serve)
    application = service.Application("imd")
    server.service.setServiceParent(application)
    assert application.getComponent(ILogObserver, None) is not None
    for twistd in ({"logger": "x"}, {"syslog": True}):
        options = parsed("--state-dir", str(tmp_path))
        options.parent = twistd
        made = tap.make_service(options, MemoryReactorClock(), serve)
        application = service.Application("imd")
        made.setServiceParent(application)
        assert application.getComponent(ILogObserver, None) is None


def test_the_exit_status_comes_last(monkeypatch):
    registered: list[tuple] = []
    monkeypatch.setattr(leaving.atexit, "register", lambda *args: registered.append(args))
    reactor = MemoryReactorClock()
    leaving.fail(reactor)
    assert registered[0][1] == 1
    reactor.run()
    assert reactor.hasStopped


# ---- the port


def listen(reactor, tmp_path, **http):
    settings = msgspec.structs.replace(defaults("dev", tmp_path).http, **http)
    outcome: list[object] = []
    Deferred.fromCoroutine(open_port(reactor, settings, Factory(), loopback_only=True)).addBoth(
        outcome.append
    )
    (one,) = outcome
    return one


@pytest.mark.parametrize(
    "interface, bound",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("::1", "::1"),
        ("0.0.0.0", "0.0.0.0"),
    ],
)
def test_the_port_is_opened_where_it_was_said(tmp_path, interface, bound):
    reactor = MemoryReactorClock()
    port = listen(reactor, tmp_path, interface=interface, port=3000)
    ((number, _, backlog, at),) = reactor.tcpServers
    assert (number, at) == (3000, bound) and backlog >= 1024
    assert port_number(port) >= 0


def test_a_taken_port_is_one_sentence(tmp_path):
    class Full(MemoryReactorClock):
        def listenTCP(self, port, factory, backlog=50, interface=""):
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))

    failure = listen(Full(), tmp_path, interface="127.0.0.1", port=3000)
    assert failure.check(CannotServe)
    assert str(failure.value) == "cannot listen on 127.0.0.1 port 3000: Address already in use"


def test_a_certificate_that_is_none_names_the_setting(tmp_path):
    file = tmp_path / "cert.pem"
    for text in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        file.write_text(text)
        failure = listen(
            MemoryReactorClock(), tmp_path, tls_cert=str(file), tls_key=str(file), port=0
        )
        assert failure.check(CannotServe) and "http.tls_cert" in str(failure.value)
