"""``imdctl`` itself: the table of commands, and the options that may stand anywhere on the line.

The console script calls :func:`main`. Commands live in their own modules and are imported only
when one is asked for, so that a quick command stays quick; it refuses to do any work itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Final

import click

import imd
from imd.cli.line import FAILURE_STATUS, Line

#: command to the module and the name in it of its click command; a new command is one row
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "check-config": ("imd.cli.check_config", "check_config"),
    "migrate": ("imd.cli.migrate", "migrate"),
    "token": ("imd.cli.tokens", "token"),
    "key": ("imd.cli.keys", "key"),
    "user": ("imd.cli.user", "user"),
    "audit": ("imd.cli.audit", "audit"),
    "backup": ("imd.cli.backup", "backup"),
    "restore": ("imd.cli.restore", "restore"),
    "doctor-check": ("imd.cli.doctor_check", "doctor_check"),
    "import-legacy": ("imd.cli.import_legacy", "import_legacy"),
    "reconcile": ("imd.cli.reconcile", "reconcile"),
    "stats": ("imd.cli.stats", "stats"),
    "retention": ("imd.cli.retention", "retention"),
    "transcript": ("imd.cli.transcript", "transcript"),
    "clock": ("imd.cli.clock", "clock"),
    "demo": ("imd.cli.demo", "demo"),
    "push": ("imd.cli.push", "push"),
    "webhook": ("imd.cli.webhook", "webhook"),
    "fake-wechat": ("imd.cli.fake_wechat", "fake_wechat"),
    "chat": ("imd.cli.chat", "chat"),
}

_WITH_VALUE: Final = frozenset({"--profile", "--config", "--state-dir"})
_SWITCHES: Final = frozenset({"--json"})


class CommandTable(click.Group):
    """A click group whose commands stand in a table and whose own options may stand anywhere."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None when the table has none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, with the global options moved to the front of the line."""
        return super().parse_args(ctx, options_first(args))


def options_first(args: Sequence[str]) -> list[str]:
    """Return the line with the global options first, wherever they stood before a ``--``.

    Raises click.UsageError when one of them lacks its value.
    """
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _WITH_VALUE:
            value = next(words, None)
            if value is None:
                raise click.BadOptionUsage(word, f"Option '{word}' requires an argument.")
            front += [word, value]
        elif word in _SWITCHES or word.partition("=")[0] in _WITH_VALUE:
            front.append(word)
        else:
            rest.append(word)
    return front + rest


@click.group("imdctl", cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--profile", metavar="dev|test|prod", help="Profile; else IM_PROFILE, else dev.")
@click.option("--config", metavar="FILE", help="Settings file; else IMD_CONFIG.")
@click.option("--state-dir", metavar="DIR", help="State directory; else IMD_STATE_DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.version_option(imd.__version__, message="%(prog)s %(version)s")
@click.pass_context
def imdctl(
    ctx: click.Context,
    profile: str | None,
    config: str | None,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Operate an imd server. The options here may stand anywhere on the line."""
    ctx.obj = Line(profile=profile, config_file=config, state_dir=state_dir, as_json=as_json)


def run(args: Sequence[str]) -> int:
    """Run one command and return its exit status: 0, 1 (failed) or 2 (usage, settings).

    Every error is plain lines on stderr, each beginning with ``imdctl:``.
    """
    try:
        answer = imdctl.main(args=list(args), prog_name="imdctl", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        for line in error.format_message().splitlines():
            click.echo(f"imdctl: {line}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("imdctl: stopped", err=True)
        return FAILURE_STATUS
    return answer if isinstance(answer, int) else 0


def main() -> None:
    """Run ``imdctl`` with this process's command line, and exit (page 5.3)."""
    sys.exit(run(sys.argv[1:]))
