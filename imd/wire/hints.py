"""What processes tell each other over the bus: that something happened, and to which ids (4.3).

:mod:`imd.delivery` sends and reads it. A hint holds kinds, ids and seqs, no text and no name, and
whoever gets one reads the database; so a lost, late, repeated or forged one does no harm. A
newer process beside this one may say more than is known here: fields and hints that are not known
are passed over, and the others count. What is no bundle is refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta

from imd.domain.ids import ID_PATTERN

#: hints in one bundle, and bytes of one; a larger one is not from us
MOST_HINTS, MOST_BYTES = 1000, 1 << 20

_Id = Annotated[str, Meta(pattern=ID_PATTERN)]
_Seq = Annotated[int, Meta(ge=1, le=2**53)]
_Token = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_-]*\Z")]


class Hint(msgspec.Struct, frozen=True, tag_field="kind"):
    """Something was committed."""


class Stored(Hint, frozen=True, tag="message"):
    """Messages ``first`` to ``seq`` were stored in the session."""

    session: _Id
    seq: _Seq
    first: _Seq


class Updated(Hint, frozen=True, tag="update"):
    """A card was changed or a message recalled."""

    session: _Id
    message: _Id


class SessionChanged(Hint, frozen=True, tag="session"):
    """Its name, members or status."""

    session: _Id


class TopicChanged(Hint, frozen=True, tag="topic"):
    """It was started, answered or ended."""

    session: _Id
    topic: _Id


class Read(Hint, frozen=True, tag="read"):
    """The member read on."""

    session: _Id
    user: _Id


class Typing(Hint, frozen=True, tag="typing"):
    session: _Id
    user: _Id


class Expelled(Hint, frozen=True, tag="expelled"):
    """The user is no member any more."""

    session: _Id
    user: _Id


class Revoked(Hint, frozen=True, tag="revoked"):
    """Tokens were revoked; which ones, the store knows."""


class Missed(Hint, frozen=True, tag="missed"):
    """The sender lost hints; none older than ``since``, ms of its clock."""

    since: Annotated[int, Meta(ge=0, le=2**53)]


AnyHint = (
    Stored | Updated | SessionChanged | TopicChanged | Read | Typing | Expelled | Revoked | Missed
)


class Bundle(msgspec.Struct, frozen=True):
    """The hints of one process in one moment.

    ``epoch`` names the life of the store that they are about, ``origin`` the process, ``time`` is
    ms of its clock, to measure how long hints take.
    """

    epoch: _Token
    origin: _Token
    time: Annotated[int, Meta(ge=0, le=2**53)]
    hints: Annotated[list[AnyHint], Meta(max_length=MOST_HINTS)]


class _Unread(msgspec.Struct, frozen=True):
    """A bundle whose hints are not looked at yet."""

    epoch: _Token
    origin: _Token
    time: Annotated[int, Meta(ge=0, le=2**53)]
    hints: Annotated[list[msgspec.Raw], Meta(max_length=MOST_HINTS)]


def _plain(value: object) -> str:
    if isinstance(value, str):  # an Id: msgspec writes no subclass of str by itself
        return str(value)
    raise TypeError(f"no writer for {type(value)}")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoder = msgspec.json.Decoder(Bundle)
_unread_decoder = msgspec.json.Decoder(_Unread)
_hint_decoder = msgspec.json.Decoder(AnyHint)


def encode_bundle(bundle: Bundle) -> bytes:
    """Its JSON in UTF-8."""
    return _encoder.encode(bundle)


def parse_bundle(payload: bytes) -> Bundle | None:
    """The bundle in ``payload`` with the hints that are known here, or None for what is none."""
    if len(payload) > MOST_BYTES:
        return None
    try:
        return _decoder.decode(payload)
    except msgspec.ValidationError:
        return _known_of(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _known_of(payload: bytes) -> Bundle | None:
    try:
        unread = _unread_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    known = []
    for raw in unread.hints:
        # Each by itself, since one that is not known must not cost the others.
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            known.append(_hint_decoder.decode(raw))
    return Bundle(unread.epoch, unread.origin, unread.time, known)
