"""Other servers that do the same work, to be measured beside imd. No part of imd and no test needs
them; what they are made of is fetched when the bench runs, into ``build/peers``.
"""

from __future__ import annotations

from pathlib import Path

BUILD = Path(__file__).parents[2] / "build" / "peers"


class NotHere(Exception):
    """A peer cannot be had on this machine; the message says which and why."""
