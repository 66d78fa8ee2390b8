"""Print imdctl(1), made of what ``imdctl --help`` says: ``python debian/man/imdctl.py``.

debian/rules calls it with the Python of the package, so that the page has the commands that are
in it. It refuses to know any command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click

import imd
from imd.cli.main import imdctl

ENVIRONMENT = {
    "IM_PROFILE": "The profile without --profile; the package's imdctl says prod.",
    "IMD_CONFIG": "A file of settings, read after /etc/imd/PROFILE.toml.",
    "IMD_STATE_DIR": "The state directory without --state-dir.",
    "IMD_SECTION_KEY": "Any setting, as IMD_DATABASE_URL for database.url.",
}
STATUS = {"0": "Done.", "1": "It could not be done.", "2": "The line or the settings are wrong."}


def plain(text: str) -> str:
    """Text as roff shows it unchanged, one paragraph."""
    escaped = " ".join(text.replace("\b", "").split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def commands(
    ctx: click.Context, command: click.Command
) -> Iterator[tuple[click.Context, click.Command]]:
    """Every command that can be called, groups left out."""
    if not isinstance(command, click.Group):
        yield ctx, command
        return
    for name in command.list_commands(ctx):
        found = command.get_command(ctx, name)
        if found is not None and not found.hidden:
            yield from commands(click.Context(found, info_name=name, parent=ctx), found)


def options(ctx: click.Context, command: click.Command) -> Iterator[str]:
    """Each option with its help."""
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and record[0] != "-h, --help":
            yield f".TP\n.B {plain(record[0])}\n{plain(record[1])}"


def page(day: datetime) -> Iterator[str]:
    """The lines of the page."""
    top = click.Context(imdctl, info_name="imdctl")
    yield f'.TH IMDCTL 1 "{day:%Y-%m-%d}" "imd {imd.__version__}" "imd"'
    yield ".SH NAME\nimdctl \\- operate an imd server"
    yield ".SH SYNOPSIS\n.B imdctl\n[options] command [arguments]"
    yield ".SH DESCRIPTION"
    yield "Reads the settings as the server does and may be used beside a running server."
    yield "What it changes (keys, users) is valid there within 5 seconds."
    yield "Called by root, the package's imdctl works as the user imd."
    yield ".SH OPTIONS\nThese may stand anywhere on the line."
    yield from options(top, imdctl)
    yield ".SH COMMANDS"
    for ctx, command in commands(top, imdctl):
        usage = " ".join(ctx.command_path.split()[1:] + command.collect_usage_pieces(ctx))
        yield f".SS {plain(usage)}\n{plain(command.help or '')}"
        yield from options(ctx, command)
    for title, rows in (("ENVIRONMENT", ENVIRONMENT), ("EXIT STATUS", STATUS)):
        yield f".SH {title}"
        yield from (f".TP\n.B {name}\n{plain(text)}" for name, text in rows.items())
    yield ".SH FILES\n.TP\n.I /etc/imd/prod.toml\nThe settings of the service."
    yield ".SH SEE ALSO\n.BR imd (8)"


if __name__ == "__main__":
    # The same sources make the same page, whenever it is made.
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    sys.stdout.write("\n".join(page(datetime.fromtimestamp(epoch, UTC))) + "\n")
