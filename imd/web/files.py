"""The page of the API documents, as bytes with their headers (page 2.8, ``/docs``).

The service room reads them once, at start, and has them served. The page may load nothing but its
own two files and the documents of its own origin: what it shows comes from them as text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

_FOLDER: Final = Path(__file__).with_name("docs")

POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    b" img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: asked for again at each visit, so that a new version of the server shows its own page
_FRESH: Final = (b"Cache-Control", b"no-cache")
_GUARDED: Final = (
    _FRESH,
    (b"Content-Security-Policy", POLICY),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Frame-Options", b"DENY"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
)


class Found(NamedTuple):
    """A file's bytes, its media type and further headers."""

    body: bytes
    kind: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def read_docs() -> dict[str, Found]:
    """The files of ``/docs`` by their paths."""
    page, script, style = (
        (_FOLDER / name).read_bytes() for name in ("docs.html", "docs.js", "docs.css")
    )
    return {
        "/docs": Found(page, b"text/html; charset=utf-8", _GUARDED),
        "/docs/docs.js": Found(script, b"text/javascript; charset=utf-8", (_FRESH,)),
        "/docs/docs.css": Found(style, b"text/css; charset=utf-8", (_FRESH,)),
    }
