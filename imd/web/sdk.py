"""The browser SDK, as bytes with their headers (pages 2.8 and 3.5, ``/sdk/*``).

The service room reads it once, at start, and has it served. Pages of any origin may load it: it
holds nothing that is anybody's. It knows no JavaScript; that stands in the folder ``sdk``.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Final

from imd.web.files import Found

FOLDER: Final = Path(__file__).with_name("sdk")

_SCRIPT: Final = b"text/javascript; charset=utf-8"
_KINDS: Final = {
    "im.client.js": _SCRIPT,
    "im.client.mjs": _SCRIPT,
    # What TypeScript's own tools take a declaration for; browsers never run one.
    "im.client.d.ts": b"text/plain; charset=utf-8",
}
#: five minutes without asking, so that a new version of the server soon shows its own SDK
_HEADERS: Final = (
    (b"Cache-Control", b"public, max-age=300, must-revalidate"),
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Cross-Origin-Resource-Policy", b"cross-origin"),
)


def read_sdk() -> dict[str, Found]:
    """The files of ``/sdk`` by their paths."""
    return {
        f"/sdk/{name}": Found((FOLDER / name).read_bytes(), kind, _HEADERS)
        for name, kind in _KINDS.items()
    }


def integrity() -> str:
    """What a page's ``integrity`` attribute must say of ``im.client.js`` (SRI)."""
    digest = hashlib.sha384((FOLDER / "im.client.js").read_bytes()).digest()
    return f"sha384-{b64encode(digest).decode()}"
