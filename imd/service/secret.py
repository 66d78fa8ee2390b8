"""The secret that signs tokens: the configured one, or a developer's own (page 2.1).

The server and ``imdctl token`` both ask here, so that a token made beside a running server is
valid there. In prod nothing is ever made up. It refuses to know what is signed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from imd.config import Settings
from imd.service.tokens import spelled

DEVELOPMENT_FILE: Final = "development-secret"
_BYTES: Final = 32


def signing_secret(settings: Settings, entropy: Callable[[int], bytes]) -> bytes | None:
    """The secret of HS256 tokens; None when tokens are made elsewhere only.

    Outside prod, where neither a secret nor a public key is configured, a random secret is kept in
    the state directory. OSError when that cannot be read or written.
    """
    if settings.auth.secret is not None:
        return settings.auth.secret.encode("utf-8")
    if settings.profile == "prod" or settings.auth.public_key is not None:
        return None
    return _kept(settings.state_dir / DEVELOPMENT_FILE, entropy)


def _kept(path: Path, entropy: Callable[[int], bytes]) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{entropy(4).hex()}")
    if not path.exists():
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(spelled(entropy(_BYTES)))
        # A link appears whole or not at all; who comes second takes what the first has made.
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text("ascii").encode("ascii")
