"""What ``twistd imd`` runs: options in, a service out (page 5.2).

twistd finds this module through ``twisted/plugins/imd_plugin.py``. Settings that cannot be used
end the process here, before anything runs; a start that fails later ends it with one line, too.
It refuses to know what the server is made of: that is :mod:`imd.service.wiring`'s.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, TextIO, cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from imd.config import Settings, SettingsError, load
from imd.domain.errors import ImError
from imd.service import leaving
from imd.service.launching import Launch
from imd.service.listening import CannotServe
from imd.service.logs import log_observer
from imd.service.options import Options
from imd.service.ordered import OrderedService, Steps
from imd.service.standing import Alone, Cause, Standing
from imd.storage.engine import StorageError
from imd.storage.schema import SchemaError

__all__ = ["Options", "makeService"]

#: errors whose own words tell the operator what to do
_CLEAR = (CannotServe, SchemaError, StorageError, ImError, OSError)

Serve = Callable[[Settings, Any, Steps], Awaitable[None]]


class ImdService(OrderedService):
    """The root of the service tree: starts, stops and logs one server."""

    log = Logger()

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        serve: Serve,
        standing: Standing,
        observer: ILogObserver | None,
    ) -> None:
        super().__init__(lambda steps: serve(settings, reactor, steps), reactor, self._refused)
        self._reactor, self._standing, self._observer = reactor, standing, observer

    def setServiceParent(self, parent: Any) -> None:
        """Join the application, and make its log ours."""
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Start, and take the signals as soon as the reactor has put up its own."""
        self._reactor.callWhenRunning(leaving.heed_signals, self._reactor, self._standing.hangup)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Stop; whatever hangs is left behind at the last resort."""
        leaving.leave_within(self._standing.last_resort())
        return super().stopService()

    def _refused(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, _CLEAR):
            lines = str(error).splitlines() or [type(error).__name__]
        else:
            self.log.failure("the start failed", failure)
            lines = [f"the start failed: {type(error).__name__} (see the log)"]
        for line in lines:
            self.log.error("cannot start: {reason}", reason=line)
        cause = Cause.SETTINGS if isinstance(error, CannotServe) else Cause.WORLD
        self._standing.refuse(lines, cause)
        leaving.fail(self._reactor)


def makeService(options: Options) -> ImdService:
    """The server as a service; SystemExit with one line for each problem of the settings."""
    from twisted.internet import reactor

    return make_service(options, reactor)


def make_service(options: Options, reactor: Any, serve: Serve | None = None) -> ImdService:
    """As :func:`makeService`, on a given reactor and with a given start."""
    try:
        settings = read_settings(options)
        file = _log_file(options)
        standing = standing_of(options, settings, reactor, file)
    except SettingsError as error:
        _end(options, error.problems)
    observer = None if file is None else _observer(file, options, settings, reactor)
    return ImdService(settings, reactor, serve or standing.serve, standing, observer)


def read_settings(options: Options) -> Settings:
    """The settings as they stand now; SettingsError when they cannot be used."""
    values: dict[str, Any] = options
    settings = load(
        values["profile"], values["config"], values["state-dir"], os.environ, options.overrides()
    )
    if (values["workers"] or values["worker"]) and not settings.bus.url:
        raise SettingsError(["workers need Redis: set bus.url"])
    return settings


def _end(options: Options, problems: Sequence[str]) -> NoReturn:
    """End with status 1; a line for each problem, said by the supervisor where there is one."""
    if cast(dict[str, Any], options)["worker"] is not None:
        from imd.service.worker import refuse_settings

        if refuse_settings(problems):
            raise SystemExit(1)
    # sys.exit prints it on stderr; the status is 1.
    raise SystemExit("\n".join(f"imd: {line}" for line in problems))


def standing_of(
    options: Options, settings: Settings, reactor: Any, file: TextIO | None
) -> Standing:
    """What this process is to be, by ``--workers`` and the supervisor's own ``--worker``.

    ``file`` is what it logs to, and its workers with it.
    """
    values: dict[str, Any] = options
    if values["workers"] is not None:
        from imd.service.supervisor import Supervisor

        return Supervisor(
            values["workers"],
            settings,
            reactor,
            Launch.of(options, settings, os.environ),
            lambda: read_settings(options),
            None if file is sys.stdout else file,
        )
    if values["worker"] is not None:
        from imd.service.worker import Worker

        return Worker(values["worker"], settings, reactor)
    return Alone(settings, reactor)


def _observer(file: TextIO, options: Options, settings: Settings, reactor: Any) -> ILogObserver:
    values: dict[str, Any] = options
    observer = log_observer(
        file,
        as_json=settings.log.format == "json",
        level=settings.log.level,
        private=settings.profile == "prod",
        worker=values["worker"],
        reactor=reactor,
    )
    # Where the reactor ends without a shutdown, by an exception that nothing catches.
    atexit.register(observer.wait_no_more)
    return observer


def _log_file(options: Options) -> TextIO | None:
    """The file that twistd would log to; None where twistd is told another way."""
    twistd: Any = options.parent or {}
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    name = twistd.get("logfile")
    if name == "-" or (twistd.get("nodaemon", True) and not name):
        return sys.stdout
    file: Any = LogFile.fromFullPath(name or "twistd.log")
    text: TextIO = file
    return text
