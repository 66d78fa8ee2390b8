"""A line of imdctl that a document shows is one that imdctl takes: command and options exist."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from imd.cli.main import imdctl, options_first
from tests.manual.blocks import DOCS, pages

ROOT = DOCS.parent
DOCUMENTS = sorted(["README.md", "README.zh.md", *(f"docs/{page}" for page in pages())])
_BLOCK = re.compile(r"^( *)```\w*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(?:\.venv/bin/)?(imdctl [^`]+)`")
_LINE = re.compile(r"^[^#\n]*?(?<![\w/])(?:\.venv/bin/)?(imdctl [^\n]*)$", re.MULTILINE)
_REST = re.compile(r" (?:[|;&]|\d?>)|\)\"?$")


def lines(document: str) -> list[str]:
    """The calls of imdctl that a document shows."""
    text = (ROOT / document).read_text("utf-8").replace("\\\n", " ")
    shown = [line for _, body in _BLOCK.findall(text) for line in _LINE.findall(body)]
    return shown + _INLINE.findall(_BLOCK.sub("", text))


def take(line: str) -> None:
    """Parse a call as imdctl does, and run nothing; click's error where it is none."""
    # Usage as in "[--apply]" and "retry [ID ...]" is read as if all of it was given.
    plain = re.sub(r"[\[\]]| \.\.\.|…", "", _REST.split(line)[0])
    if plain.count("'") % 2:  # the end of the shell's word around the call
        plain = plain.removesuffix("'")
    words = options_first(shlex.split(plain, comments=True)[1:])
    command: click.Command = imdctl
    ctx = click.Context(imdctl, info_name="imdctl")
    while True:
        # Options are looked at; arguments may be words in capitals that stand for something.
        _, words, _ = command.make_parser(ctx).parse_args(list(words))
        if not isinstance(command, click.Group) or not words:
            return
        name, found, words = command.resolve_command(ctx, words)
        assert found is not None
        command, ctx = found, click.Context(found, info_name=name, parent=ctx)


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if lines(name)])
def test_imdctl_takes_what_a_document_shows(document):
    for line in lines(document):
        try:
            take(line)
        except click.ClickException as error:
            pytest.fail(f"{document}: {line}: {error.format_message()}")


@pytest.mark.parametrize(
    "line", ["imdctl pusch list", "imdctl push lists", "imdctl push list --al"]
)
def test_a_line_that_is_wrong_is_noticed(line):
    with pytest.raises(click.ClickException):
        take(line)
