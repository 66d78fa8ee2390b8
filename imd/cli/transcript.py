"""``imdctl transcript``: a consult as a document, sealed where it must stand as evidence.

:mod:`imd.cli.main` finds it by name. What a transcript holds, and how it is sealed and checked, the
service room knows. ``verify`` needs neither a database nor settings.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from imd.cli.database import one_line, transaction
from imd.cli.line import FAILURE_STATUS, CommandFailed, Line
from imd.domain.audit import OPERATOR, Act, Note

if TYPE_CHECKING:
    from imd.config import Settings
    from imd.service.transcripts import Transcript

FORMS: Final = ("json", "html", "sealed")
_SEQ: Final = click.IntRange(1, 2**63 - 1)


@click.group("transcript")
def transcript() -> None:
    """Export a consult as a document; make and check sealed ones."""


# ---- export


@transcript.command("export")
@click.argument("topic", required=False)
@click.option("--session", metavar="ID", help="Messages of this session, in place of a topic.")
@click.option("--from-seq", type=_SEQ, metavar="N", help="With --session: from this message on.")
@click.option("--to-seq", type=_SEQ, metavar="N", help="With --session: up to this message.")
@click.option("--format", "form", type=click.Choice(FORMS), default="json", show_default=True)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file, which only its owner may read.",
)
@click.pass_obj
def export(
    line: Line,
    topic: str | None,
    session: str | None,
    from_seq: int | None,
    to_seq: int | None,
    form: str,
    output: Path,
) -> None:
    """Write a topic's messages, or some of a session's, into a file; it is noted in the trail."""
    from imd.service.clock import SystemClock
    from imd.service.sealing import BadKey
    from imd.service.transcripts import NoTranscript, Wanted, gather

    if (topic is None) == (session is None):
        raise click.UsageError("name either a topic or --session")
    if topic is not None and (from_seq is not None or to_seq is not None):
        raise click.UsageError("--from-seq and --to-seq go with --session")
    settings, now = line.settings(), SystemClock().now()
    try:
        with _new_file(output) as file:
            with transaction(settings, write=False) as tx:
                found = gather(tx, Wanted(topic, session, from_seq, to_seq), now)
                digest = _write(file, _pieces(settings, found, form))
            detail: dict[str, object] = {
                "topic_id": found.topic_id, "format": form, "sha256": digest,
                **{name: found.header[name] for name in ("first_seq", "last_seq", "messages")},
            }  # fmt: skip
            with transaction(settings) as tx:
                act = Act.TRANSCRIPT_EXPORTED
                tx.audit.note(Note(now, OPERATOR, act, found.session_id, detail))
    except (NoTranscript, BadKey) as error:
        raise CommandFailed(str(error)) from error
    value = {"file": str(output), "session_id": found.session_id, **detail}
    line.answer(value, [f"{found.header['messages']} messages in {output}"])


def _pieces(settings: Settings, found: Transcript, form: str) -> Iterator[bytes]:
    if form == "sealed":
        from imd.service.sealing import read_key, sealed

        return sealed(found, read_key(settings.state_dir))
    if form == "html":
        from imd.ledger.times import zone_of
        from imd.service.transcript_page import as_page

        return as_page(found, zone_of(settings.platform.timezone))
    from imd.service.transcripts import as_json

    return as_json(found)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that was not there and that others may not read; gone again when anything fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandFailed(f"{path} is there already") from None
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(file: BinaryIO, pieces: Iterable[bytes]) -> str:
    """Write all of it to the disk; the SHA-256 of the file."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        file.write(piece)
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()


# ---- keys and checking


@transcript.command("key")
@click.pass_obj
def key(line: Line) -> None:
    """Print the public key that sealed transcripts are checked with; make the pair the first time.

    The private key stays in the state directory, as transcript.key.
    """
    from imd.service.clock import SystemClock
    from imd.service.sealing import KEY_FILE, BadKey, make_key, public_hex, public_pem

    settings = line.settings()
    try:
        pair, made = make_key(settings.state_dir)
    except BadKey as error:
        raise CommandFailed(str(error)) from error
    except OSError as error:
        raise CommandFailed(f"{settings.state_dir}: {error.strerror}") from error
    public, pem = public_hex(pair), public_pem(pair)
    if made:
        with transaction(settings) as tx:
            tx.audit.note(
                Note(
                    SystemClock().now(),
                    OPERATOR,
                    Act.TRANSCRIPT_KEY,
                    KEY_FILE,
                    {"public_key": public},
                )
            )
    line.answer({"public_key": public, "pem": pem, "made": made}, pem.splitlines())


@transcript.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--public-key",
    metavar="KEY",
    help="Who must have sealed it: a file with the key in PEM, or 64 hex digits.",
)
@click.pass_obj
def verify(line: Line, file: Path, public_key: str | None) -> int:
    """Check a sealed transcript; needs nothing but the file, and the key of who sealed it.

    Status 0: not a byte was changed; 1: the line that is named is the first wrong one.
    """
    from imd.service.sealing import Broken
    from imd.service.sealing import verify as check

    wanted = None if public_key is None else _public_key(public_key)
    try:
        with file.open("rb") as opened:
            seal = check(opened, wanted)
    except Broken as error:
        value = {"intact": False, "line": error.line, "problem": error.why}
        line.answer(value, [f"broken at line {error.line}: {error.why}"])
        return FAILURE_STATUS
    except OSError as error:
        raise CommandFailed(f"{file}: {one_line(error)}") from error
    header = seal.header
    topic = header.get("topic")
    value = {
        "intact": True,
        "signer_checked": wanted is not None,
        "public_key": seal.public_key,
        "session_id": header["session"]["id"],
        "topic_id": topic["id"] if topic else None,
        "first_seq": header["first_seq"],
        "last_seq": header["last_seq"],
        "messages": seal.messages,
        "exported_at": header["exported_at"],
    }
    lines = [f"{seal.messages} messages, not a byte changed since they were sealed"]
    if wanted is None:
        lines.append(f"signed with {seal.public_key}: whose key that is, --public-key would check")
    line.answer(value, lines)
    return 0


def _public_key(given: str) -> str:
    from imd.service.sealing import BadKey, parse_public

    path = Path(given)
    try:
        return parse_public(path.read_text("ascii") if path.is_file() else given)
    except (BadKey, OSError, ValueError) as error:
        raise click.BadParameter(one_line(error), param_hint="--public-key") from error
