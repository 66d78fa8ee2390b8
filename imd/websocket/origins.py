"""Whether a page may open a socket (page 3.1): a decision on exact strings.

The resource asks it before the handshake; browsers send ``Origin`` and cannot forge it, other
clients need not send it. It knows no request object.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def origin_allowed(
    origins: Sequence[str], hosts: Sequence[str], scheme: str, allowed: Collection[str]
) -> bool:
    """Whether a handshake with these ``Origin`` and ``Host`` headers may go on.

    The server's own origin is ``scheme`` (``http`` or ``https``) and the Host header; ``allowed``
    is ``http.allowed_origins``, where ``*`` stands for any origin but ``null``, which must be
    listed itself. Without an Origin it is allowed; with more than one it is not.
    """
    if not origins:
        return True
    if len(origins) != 1 or len(hosts) != 1:
        return False
    (origin,) = origins
    if origin == "null":
        return origin in allowed
    return origin == f"{scheme}://{hosts[0].lower()}" or origin in allowed or "*" in allowed
