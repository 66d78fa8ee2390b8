"""``imdctl user``: the directory of doctors and patients, filled from a file (page 5.3).

:mod:`imd.cli.main` finds it by name. It stores entries some hundred at a time and tells what became
of them; what a file may hold :mod:`imd.cli.people` knows, what an entry is the API's rules.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from imd.cli.database import clear_errors, prepared
from imd.cli.line import FAILURE_STATUS, USAGE_STATUS, CommandFailed, Line
from imd.cli.progress import bar
from imd.config import Settings

if TYPE_CHECKING:
    from imd.cli.people import Format, Person
    from imd.storage.engine import Connection
    from imd.wire.users import RefusedEntry, UserEntry

#: entries of one transaction, which holds up no message for long
_BATCH: Final = 500
#: refused lines that the JSON answer names; stderr names all
_NAMED: Final = 100


class NothingRead(CommandFailed):
    """The file cannot be read as what it should be (status 2)."""

    exit_code = USAGE_STATUS


class _Undone(Exception):
    """Takes back what a dry run did."""


@click.group("user")
def user() -> None:
    """Fill the directory of doctors and patients."""


@user.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    help="CSV with a header, or a JSON object a line; else by the file's ending.",
)
@click.option("--encoding", default="utf-8", show_default=True, help="Of CSV, such as gbk.")
@click.option("--dry-run", is_flag=True, help="Read and judge everything, store nothing.")
@click.pass_obj
def import_(line: Line, file: Path, form: Format | None, encoding: str, dry_run: bool) -> int:
    """Create or change the entries of FILE; the same file again changes nothing.

    Columns: user_id, kind, name, sex, birthdate, avatar, openid, team_code, title. An empty cell
    leaves a field as it is, a null of JSON empties it. Status 0: all taken; 1: some lines were
    refused, each is named on stderr, the others are stored; 2: the file cannot be read.
    """
    form = form or _form_of(file)
    settings = line.settings()
    try:
        with file.open("rb") as opened:
            run = _Run(opened, file.stat().st_size, dry_run)
            run.store(settings, form, encoding)
    except OSError as error:
        raise NothingRead(f"{file} cannot be read: {error.strerror}") from error
    verb = "would be" if dry_run else "are"
    words = ", ".join(f"{run.counts[name]:,} {verb} {name}" for name in run.counts)
    line.answer(
        {**run.counts, "dry_run": dry_run, "problems": run.problems},
        [words + ("; run again without --dry-run" if dry_run else "")],
    )
    return FAILURE_STATUS if run.counts["refused"] else 0


def _form_of(file: Path) -> Format:
    forms: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    form = forms.get(file.suffix.lower())
    if form is None:
        raise click.UsageError(f"{file.name} does not end in .csv or .jsonl: say --format")
    return form


class _Run:
    """One import: what became of the entries so far."""

    def __init__(self, file: BinaryIO, size: int, dry_run: bool) -> None:
        self._file, self._size, self._dry_run = file, size, dry_run
        self.counts = Counter(created=0, updated=0, unchanged=0, refused=0)
        self.problems: list[dict[str, Any]] = []
        self._at = 0

    def store(self, settings: Settings, form: Format, encoding: str) -> None:
        """Read the whole file and store what can be stored."""
        from imd.cli.people import BadFile, people
        from imd.storage.engine import connector

        found = people(self._file, form, encoding)
        try:
            with clear_errors():
                # The first look at the file comes before the first at the database.
                batches = itertools.chain([next(self._batches(found), [])], self._batches(found))
                prepared(settings)
                with (
                    closing(connector(settings.database.url)()) as connection,
                    bar(self._size, "importing", "people", steps=False) as tick,
                ):
                    for batch in batches:
                        self._keep(connection, batch, tick)
        except BadFile as error:
            raise NothingRead(
                f"after {self._stored()}: the file cannot be read: {error}"
            ) from error
        except CommandFailed as error:
            raise CommandFailed(f"{error.message} (after {self._stored()})") from error

    @staticmethod
    def _batches(found: Iterator[Person]) -> Iterator[list[Person]]:
        while batch := list(itertools.islice(found, _BATCH)):
            yield batch

    def _stored(self) -> str:
        done = sum(self.counts.values()) - self.counts["refused"]
        return f"{0 if self._dry_run else done:,} were stored"

    def _keep(self, connection: Connection, batch: list[Person], tick: Callable[..., None]) -> None:
        from imd.wire.users import RefusedEntry

        good: list[UserEntry] = []
        for line, entry in batch:
            if isinstance(entry, RefusedEntry):
                self._refuse(line, entry)
            else:
                good.append(entry)
        self.counts.update(self._put(connection, good))
        before, self._at = self._at, self._file.tell()
        tick(len(batch), self._at - before)

    def _put(self, connection: Connection, entries: list[UserEntry]) -> list[str]:
        from imd.actions.users import store_entries
        from imd.domain.audit import OPERATOR
        from imd.service.clock import SystemClock
        from imd.storage.transaction import Transaction, transact

        told: list[str] = []

        def work(transaction: Transaction) -> None:
            told[:] = store_entries(transaction, entries, OPERATOR, SystemClock().now())
            if self._dry_run:
                raise _Undone

        try:
            transact(connection, work, write=True)
        except _Undone:
            return told
        return told

    def _refuse(self, line: int, entry: RefusedEntry) -> None:
        self.counts["refused"] += 1
        for field, message in entry.errors:
            where = f"line {line}: {field}: " if field else f"line {line}: "
            click.echo(f"imdctl: {where}{message}", err=True)
            if len(self.problems) < _NAMED:
                self.problems.append({"line": line, "field": field, "message": message})
