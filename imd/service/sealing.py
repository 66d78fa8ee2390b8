"""A transcript that nobody can change unnoticed: a chain of hashes over its lines, and a signature.

The format, line by line (each ends with a line feed; docs/guides/retention.md says the same):

    {"hash":"H1","transcript":{…}}      the header, with the public key of the signer
    {"hash":"H2","message":{…}}         a message a line, by seq without a hole
    {"hash":"Hn","seal":{…}}            how many messages there are, the first and the last seq
    {"signature":"S"}                   Ed25519 over "imd-transcript-1:" and Hn

A hash is SHA-256 (64 hex digits) over the hash of the line before (64 zeros before the first) and
the bytes of the line behind ``"hash":"…",`` up to the line feed. So every byte of the file is
covered, and checking needs neither imd's database nor its settings, nor any rule of how JSON is
written. ``imdctl transcript`` makes and checks it; this module knows no message.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from imd.service.transcripts import FORMAT, VERSION, Transcript, named

KEY_FILE: Final = "transcript.key"
_GENESIS: Final = "0" * 64
_LINE: Final = re.compile(rb'\{"hash":"([0-9a-f]{64})",(.+\})\n')
_SIGNATURE: Final = re.compile(rb'\{"signature":"([0-9a-f]{128})"\}\n')
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = f"{FORMAT}-{VERSION}:".encode()
#: bytes of a line; imd stores far less
_LONGEST: Final = 64 << 20


class BadKey(Exception):
    """A key cannot be used; the sentence says why."""


# ---- keys


def make_key(state_dir: Path) -> tuple[Ed25519PrivateKey, bool]:
    """The key of this state directory, and whether it was made just now.

    Raises BadKey, and OSError when it cannot be kept.
    """
    path = state_dir / KEY_FILE
    made = not path.exists()
    if made:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            key = Ed25519PrivateKey.generate()
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all; who comes second takes what the first has made.
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            made = False
        finally:
            fresh.unlink()
    return read_key(state_dir), made


def read_key(state_dir: Path) -> Ed25519PrivateKey:
    """The key that ``imdctl transcript key`` made; BadKey when there is none that can be used."""
    path = state_dir / KEY_FILE
    try:
        if path.stat().st_mode & 0o077:
            raise BadKey(f"{path} may be read by others than its owner: chmod 600")
        key = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise BadKey("there is no key to sign with: imdctl transcript key") from None
    except (OSError, ValueError, TypeError) as error:
        raise BadKey(f"{path} is no key: {type(error).__name__}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(f"{path} is a key of another kind")
    return key


def public_hex(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """The public key as it stands in the file: 64 hex digits."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def public_pem(key: Ed25519PrivateKey) -> str:
    """The public key as OpenSSL knows it."""
    form = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, form).decode("ascii")


def parse_public(text: str) -> str:
    """A public key in PEM or as 64 hex digits, as hex digits; BadKey when it is neither."""
    text = text.strip()
    if _KEY.fullmatch(text.lower()):
        return text.lower()
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnicodeEncodeError) as error:
        raise BadKey("it is no public key; allowed: Ed25519 in PEM, or 64 hex digits") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey("it is a public key of another kind; allowed: Ed25519")
    return public_hex(key)


# ---- sealing


def chained(before: str, rest: bytes) -> str:
    """The hash of a line that follows one with the hash ``before``."""
    return hashlib.sha256(before.encode("ascii") + rest).hexdigest()


def sealed(transcript: Transcript, key: Ed25519PrivateKey) -> Iterator[bytes]:
    """The lines of the file."""
    public, hash_, count = public_hex(key), _GENESIS, 0
    header = {**transcript.header, "public_key": public}

    def line(name: str, value: object) -> bytes:
        nonlocal hash_
        rest = named(name, value)
        hash_ = chained(hash_, rest)
        return b'{"hash":"' + hash_.encode("ascii") + b'",' + rest + b"\n"

    yield line("transcript", header)
    for message in transcript.messages:
        count += 1
        yield line("message", message)
    ends = {name: header[name] for name in ("first_seq", "last_seq")}
    yield line("seal", {"messages": count, **ends})
    signature = key.sign(_PREFIX + hash_.encode("ascii")).hex()
    yield b'{"signature":"' + signature.encode("ascii") + b'"}\n'


# ---- checking


class Broken(Exception):
    """The first line that is not as it was sealed, and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line, self.why = line, why


class Seal(NamedTuple):
    """What an intact file says of itself; ``public_key`` signed it."""

    header: dict[str, Any]
    messages: int
    public_key: str


def verify(file: BinaryIO, public_key: str | None) -> Seal:
    """Check a sealed file from its first byte to its last; Broken names the first wrong line.

    With ``public_key`` (hex digits) only what that key signed is right. Without one the file is
    measured by the key that stands in it, which shows that nothing was changed since the sealing,
    but not who sealed it.
    """
    reading = _Reading(file)
    header = reading.value("transcript")
    if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        raise Broken(1, f"this is no {FORMAT} of version {VERSION}")
    signer = header.get("public_key")
    if not isinstance(signer, str) or not _KEY.fullmatch(signer):
        raise Broken(1, "there is no public key")
    if public_key is not None and signer != public_key:
        raise Broken(1, "it was signed with another key than the one that is given")
    if not _complete(header):
        raise Broken(1, "it does not say of what it is a transcript")
    count, seq = 0, header["first_seq"]
    while (message := reading.value("message", "seal")) and reading.name == "message":
        if message.get("seq") != seq:
            raise Broken(reading.number, "its seq does not follow the one before")
        count, seq = count + 1, seq + 1
    wanted = {"messages": count, **{name: header.get(name) for name in ("first_seq", "last_seq")}}
    if message != wanted or header.get("messages") != count:
        raise Broken(reading.number, "the seal counts other messages than there are")
    reading.signature(signer)
    return Seal(header, count, signer)


def _complete(header: dict[str, Any]) -> bool:
    """Whether the header holds what is read of it: anybody may have written and signed it."""
    session, topic = header.get("session"), header.get("topic")
    numbers = ("first_seq", "last_seq", "messages", "exported_at")
    return (
        isinstance(session, dict)
        and isinstance(session.get("id"), str)
        and (topic is None or (isinstance(topic, dict) and isinstance(topic.get("id"), str)))
        and all(type(header.get(name)) is int for name in numbers)
    )


class _Reading:
    """The lines of a file, one after the other; ``name`` and ``number`` are of the last one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, _GENESIS
        self.number, self.name = 0, ""

    def _line(self) -> bytes:
        self.number += 1
        line = self._file.readline(_LONGEST)
        if not line:
            raise Broken(self.number, "the file ends before its signature")
        return line

    def value(self, *names: str) -> dict[str, Any]:
        """The object of the next line, which has one of these names."""
        found = _LINE.fullmatch(self._line())
        if found is None:
            raise Broken(self.number, "it has not the form of a sealed line")
        stated, rest = found[1].decode("ascii"), found[2]
        self._hash = chained(self._hash, rest)
        if stated != self._hash:
            raise Broken(self.number, "it was changed, or a line before it was taken away")
        try:
            ((self.name, value),) = json.loads(b"{" + rest).items()
        except (ValueError, RecursionError):
            raise Broken(self.number, "it is not JSON of one field") from None
        if self.name not in names or not isinstance(value, dict):
            raise Broken(self.number, f"a line with {' or '.join(names)} is wanted here")
        return value

    def signature(self, signer: str) -> None:
        """The last line."""
        found = _SIGNATURE.fullmatch(self._line())
        if found is None:
            raise Broken(self.number, "it has not the form of a signature")
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer))
        try:
            key.verify(bytes.fromhex(found[1].decode()), _PREFIX + self._hash.encode("ascii"))
        except InvalidSignature:
            raise Broken(self.number, "the signature does not fit") from None
        if self._file.read(1):
            raise Broken(self.number + 1, "there is something behind the signature")
