"""The command line that all commands share: global options, one way to answer, one way to fail.

Every command module of ``imdctl`` uses it. It refuses to know any command, and loads nothing
before a command asks for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import click

from imd.config import Settings, SettingsError, load

#: exit status of a wrong command line and of settings that cannot be used
USAGE_STATUS: Final = 2
#: exit status of work that could not be done
FAILURE_STATUS: Final = 1


class CommandFailed(click.ClickException):
    """A command could not do its work; the message is the one line that stderr gets."""

    exit_code = FAILURE_STATUS


class SettingsRefused(click.ClickException):
    """The settings cannot be used; each line of the message names one problem."""

    exit_code = USAGE_STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What the global options said; commands get it with ``@click.pass_obj``."""

    profile: str | None = None
    config_file: str | None = None
    state_dir: str | None = None
    as_json: bool = False

    def settings(self, overrides: Mapping[str, object] | None = None) -> Settings:
        """Return the settings that the server would run with (page 5.2).

        Raises SettingsRefused, which ends the command with status 2.
        """
        try:
            return load(self.profile, self.config_file, self.state_dir, os.environ, overrides or {})
        except SettingsError as error:
            raise SettingsRefused("\n".join(error.problems)) from error

    def answer(self, value: object, lines: Sequence[str]) -> None:
        """Write a command's result to stdout: ``value`` as JSON, or ``lines`` for people."""
        if self.as_json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=2))
        else:
            for line in lines:
                click.echo(line)
