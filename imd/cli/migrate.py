"""``imdctl migrate``: bring the schema up to date, or show what that would do (page 5.3).

:mod:`imd.cli.main` finds it by name. What the steps are, and the lock under which they run, the
storage room knows.
"""

from __future__ import annotations

import click

from imd.cli.database import clear_errors, make_folder, one_line
from imd.cli.line import CommandFailed, Line
from imd.config import Settings


@click.command("migrate")
@click.option("--to", metavar="V", help="The step to go up to; else the newest.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--sql", is_flag=True, help="Only print the SQL, for an administrator to run.")
@click.pass_obj
def migrate(line: Line, to: str | None, dry_run: bool, sql: bool) -> None:
    """Bring the database's schema up to date."""
    from imd.storage.schema import HEAD, KNOWN

    if to is not None and to not in KNOWN:
        raise click.BadParameter(f"{to!r}; allowed: {', '.join(KNOWN)}", param_hint="--to")
    if sql and dry_run:
        raise click.UsageError("--sql and --dry-run do not go together")
    settings = line.settings()
    target = to or HEAD
    if sql:
        _print_sql(line, settings.database.url, target)
    else:
        _upgrade(line, settings, target, dry_run)


def _print_sql(line: Line, url: str, target: str) -> None:
    from imd.storage.migrate import print_sql

    text = print_sql(url, target)
    line.answer({"to": target, "sql": text}, [text.rstrip("\n")])


def _upgrade(line: Line, settings: Settings, target: str, dry_run: bool) -> None:
    from imd.storage.migrate import current, upgrade
    from imd.storage.schema import KNOWN

    url = settings.database.url
    try:
        with clear_errors():
            make_folder(url)
            before = current(url)
            missing = _missing(KNOWN, before, target)
            if missing and not dry_run:
                upgrade(url, target)
    except click.ClickException:
        raise
    except Exception as error:
        # The migration library's and the drivers' own errors, which have no common root.
        raise CommandFailed(f"database: {one_line(error)}") from error
    value = {"from": before, "to": target, "steps": missing, "done": not dry_run}
    if not missing:
        words = f"nothing to do: the schema is {before}"
    else:
        verb = "would run" if dry_run else "ran"
        words = f"{verb} {', '.join(missing)} (the schema was {before or 'empty'})"
    line.answer(value, [words])


def _missing(known: tuple[str, ...], before: str | None, target: str) -> list[str]:
    """The steps after ``before`` up to ``target``, oldest first."""
    first = 0 if before is None else known.index(before) + 1
    return list(known[first : known.index(target) + 1])
