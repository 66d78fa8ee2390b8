"""The console page: HTML, style and scripts as they are sent, and their digests (page 5.4).

The service room reads them once, at start. The page loads nothing but these, the SDK and the API
of its own origin, and every text that came from a person is put in as text.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

_FOLDER: Final = Path(__file__).parent
_KINDS: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}

#: nothing from elsewhere, nothing inline; a text that looks like a script stays a text
POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page(NamedTuple):
    """A file as it is sent; ``etag`` with its quotation marks."""

    body: bytes
    kind: bytes
    etag: bytes


def read_console() -> dict[str, Page]:
    """The files of the console by their names."""
    return {path.name: _page(path) for path in sorted(_FOLDER.iterdir()) if path.suffix in _KINDS}


def _page(path: Path) -> Page:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:32]
    return Page(body, _KINDS[path.suffix], b'"%s"' % digest.encode())
