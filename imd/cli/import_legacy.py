"""``imdctl import-legacy``: moves an original ``im`` database into imd's (page 7.1).

:mod:`imd.cli.main` finds it by name. It opens both databases, shows how far the run has come, and
writes the rejects and the report; what moves and how, the ledger room knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from imd.cli.database import needs_schema, one_line, prepared
from imd.cli.ledger import LedgerFailed, ledger_errors
from imd.cli.line import FAILURE_STATUS, Line
from imd.cli.progress import bar, watched
from imd.config import Settings

if TYPE_CHECKING:
    from imd.actions.arrivals import Target
    from imd.ledger.foreign import Foreign
    from imd.ledger.names import Names, Original
    from imd.ledger.reading import Reading
    from imd.ledger.report import Report

_REJECTS: Final = "import-rejects.jsonl"


@click.command("import-legacy")
@click.argument("url")
@click.option("--dry-run", is_flag=True, help="Read and judge everything, store nothing.")
@click.option("--merge", is_flag=True, help="Move into a database that has sessions of its own.")
@click.option("--map", "map_file", metavar="FILE", help="TOML: what tables and columns are called.")
@click.option("--map-template", is_flag=True, help="Print a map of that database, and end.")
@click.option(
    "--timezone",
    default="Asia/Shanghai",
    show_default=True,
    help="Of the source's DATETIME columns.",
)
@click.option("--rejects", metavar="FILE", help=f"What is left out; else {_REJECTS} in the state.")
@click.pass_obj
def import_legacy(
    line: Line,
    url: str,
    dry_run: bool,
    merge: bool,
    map_file: str | None,
    map_template: bool,
    timezone: str,
    rejects: str | None,
) -> int:
    """Move the original's database at URL into imd, or what is new there.

    Status 0: all moved and equal; 1: the comparison found differences; 2: it failed.
    """
    from imd.ledger.foreign import Foreign
    from imd.ledger.names import survey, template
    from imd.ledger.times import zone_of

    settings = line.settings()
    with ledger_errors(), ExitStack() as open_:
        zone, names = zone_of(timezone), _names(map_file)
        foreign = open_.enter_context(Foreign(url))
        if map_template:
            text = template(foreign)
            line.answer({"map": text}, [text.rstrip("\n")])
            return 0
        original = survey(foreign, names)
        path = Path(rejects) if rejects else settings.state_dir / _REJECTS
        report = _move(line, settings, foreign, original, zone, path, dry_run, merge)
    line.answer(report.value(), report.lines())
    return FAILURE_STATUS if report.sessions_different else 0


def _names(map_file: str | None) -> Names:
    from imd.config.sources import read_document
    from imd.ledger.names import NO_MAP, names_of

    if map_file is None:
        return NO_MAP
    try:
        return names_of(read_document(Path(map_file)))
    except (OSError, ValueError) as error:
        raise LedgerFailed(f"the map {map_file} cannot be read: {one_line(error)}") from error


def _move(
    line: Line,
    settings: Settings,
    foreign: Foreign,
    original: Original,
    zone: Any,
    path: Path,
    dry_run: bool,
    merge: bool,
) -> Report:
    from imd.ledger.desk import Order
    from imd.ledger.moving import move
    from imd.ledger.reading import Reading
    from imd.ledger.report import Report
    from imd.service.clock import SystemClock
    from imd.storage.arrivals import open_arrivals

    report = Report(ignored_columns=original.ignored, dry_run=dry_run)
    if not dry_run:
        prepared(settings)
    elif needs_schema(settings):
        report.would_make = ["the schema"]
    report.missing_columns = [name for name in original.missing if "." in name]
    report.missing_tables = [name for name in original.missing if "." not in name]

    folder = settings.state_dir
    folder.mkdir(parents=True, exist_ok=True)
    url = settings.database.url
    with ExitStack() as open_:
        if report.would_make:
            url = open_.enter_context(_empty())
        target = open_.enter_context(open_arrivals(url))
        rejects = open_.enter_context(_Rejects(path))
        total = _total(Reading(foreign, original, zone, None), original) if watched() else 0
        # Each message passes twice: it is read, and it is moved.
        with bar(2 * total, "moving", "messages") as passed:

            def tick(number: int) -> None:
                passed(number / 2, number)

            def reading(after: str | None) -> Reading:
                return Reading(foreign, original, zone, after, str(folder), tick)

            order = Order(foreign.name, SystemClock().now(), merge, dry_run, tick, rejects.spool)
            report = move(reading, target, order, report)
        if not dry_run:
            rejects.spool_all(target)
        rejects.keep()
    report.rejects_file = str(path)
    return report


@contextmanager
def _empty() -> Iterator[str]:
    """An empty database in place of one that a dry run must not make."""
    from imd.storage.migrate import upgrade

    with TemporaryDirectory(prefix="imd-dry-") as folder:
        url = f"sqlite:///{folder}/empty.db"
        upgrade(url)
        yield url


class _Rejects:
    """The file of rejects: written beside its place, and put there when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._beside = self._path.with_name(self._path.name + ".part")

    def __enter__(self) -> _Rejects:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._beside.open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._beside.unlink(missing_ok=True)

    def spool(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write these down."""
        for _, table, key, session_id, reason in rows:
            value = {"table": table, "key": key, "session_id": session_id, "reason": reason}
            self._file.write(json.dumps(value, ensure_ascii=False) + "\n")

    def spool_all(self, target: Target) -> None:
        """Write down what the run kept in imd's database."""
        for row in target.rejects():
            self.spool([row])

    def keep(self) -> None:
        """The file is whole."""
        self._file.close()
        self._beside.replace(self._path)


def _total(reading: Reading, original: Original) -> int:
    return sum(reading.count(found.name) for found in original.channels)
