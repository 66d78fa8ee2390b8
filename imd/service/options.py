"""The options of ``twistd imd`` (page 5.2).

twistd parses with it and hands the result to :mod:`imd.service.tap`. It knows the options' names,
not what they may hold: the config room judges that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from twisted.python import usage

from imd import __version__

#: how many workers one port may have
MOST_WORKERS: Final = 64


class Options(usage.Options):
    """Command-line options; each that is not given is None."""

    synopsis = "twistd [twistd options] imd [options]"
    longdesc = "Runs the instant-messaging server of a family-doctor service."

    optParameters = [
        ["profile", None, None, "dev, test or prod; else IM_PROFILE, else dev."],
        ["config", None, None, "Settings file; else IMD_CONFIG."],
        ["interface", None, None, "Address to listen on (http.interface)."],
        ["port", None, None, "TCP port; 0 is any free one (http.port)."],
        ["state-dir", None, None, "State directory; else IMD_STATE_DIR."],
        ["workers", None, None, "Supervise this many processes on the port (1 to 64)."],
        ["worker", None, None, "Set by the supervisor: be its worker of this number."],
    ]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; an unknown or incomplete option ends the process with one line and status 1."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            raise SystemExit(
                f"imd: {' '.join(str(error).split())}; see twistd imd --help"
            ) from None

    def opt_version(self) -> None:
        """Print the version and end."""
        sys.stdout.write(f"imd {__version__}\n")
        raise SystemExit(0)

    def parseArgs(self, *words: str) -> None:
        """There is nothing but options."""
        if words:
            raise usage.UsageError(f"unexpected argument {words[0]!r}")

    def postOptions(self) -> None:
        """How many workers there may be; UsageError names the option and what is allowed."""
        values: dict[str, Any] = self
        for name in ("workers", "worker"):
            given = values[name]
            if given is None:
                continue
            if not (given.isascii() and given.isdecimal() and 1 <= int(given) <= MOST_WORKERS):
                allowed = f"a whole number, 1 to {MOST_WORKERS}"
                raise usage.UsageError(f"--{name} {given!r} is not allowed; allowed: {allowed}")
            values[name] = int(given)
        if values["workers"] and values["worker"]:
            raise usage.UsageError("--worker is the supervisor's; give --workers alone")

    def overrides(self) -> dict[str, object]:
        """What the options say of settings, by ``section.key``; None where they say nothing."""
        values: dict[str, Any] = self
        return {"http.interface": values["interface"], "http.port": values["port"]}
