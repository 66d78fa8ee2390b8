"""What commands that use other databases share: how they fail, and the platform opened.

``import-legacy``, ``reconcile`` and ``stats`` use it. It refuses to know what they ask there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imd.cli.database import clear_errors, one_line
from imd.cli.line import USAGE_STATUS, CommandFailed
from imd.config import Settings

if TYPE_CHECKING:
    from imd.ledger.platform import Platform


class LedgerFailed(CommandFailed):
    """Nothing was found out, or not all of it was done (status 2)."""

    exit_code = USAGE_STATUS


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Turn what two databases cannot do into LedgerFailed, in one line."""
    from imd.actions.arrivals import Moved
    from imd.domain.errors import ImError
    from imd.ledger.foreign import ForeignFailed
    from imd.ledger.moving import Refused
    from imd.ledger.names import BadMap
    from imd.ledger.platform import BadNames
    from imd.ledger.times import NoTime

    try:
        with clear_errors():
            yield
    except LedgerFailed:
        raise
    except CommandFailed as error:
        raise LedgerFailed(error.message) from error
    except ForeignFailed as error:
        raise LedgerFailed(f"the other database: {error}") from error
    except Moved as error:
        said = f"session {error} went on meanwhile; run the same command again"
        raise LedgerFailed(said) from error
    except (BadMap, BadNames, ImError, NoTime, Refused) as error:
        raise LedgerFailed(one_line(error)) from error


@contextmanager
def platform_of(settings: Settings, *, writes: bool = False) -> Iterator[Platform]:
    """The platform that the settings name; LedgerFailed when they name none."""
    from imd.ledger.foreign import Foreign
    from imd.ledger.platform import Names, Platform
    from imd.ledger.times import zone_of

    there = settings.platform
    if not there.url:
        raise LedgerFailed("there is no platform: set platform.url")
    names = Names(there.names)
    with Foreign(there.url, writes=writes) as foreign:
        yield Platform(foreign, names, zone_of(there.timezone))
