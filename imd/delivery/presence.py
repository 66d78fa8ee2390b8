"""Presence while there is one process: whoever is seated in the registry is online.

Actions ask it through :class:`imd.actions.ports.Presence`; with several processes the bus room
stands another in its place (page 4.3). It knows no times and stores nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from imd.delivery.registry import Registry


class LocalPresence:
    """Who has a socket in this process, and of which client types."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def clients(self, user_ids: Collection[str]) -> dict[str, list[str]]:
        """Client types by user, each once, sorted; a user without sockets is left out."""
        found = {}
        for user_id in user_ids:
            links = self._registry.of_user(user_id)
            if links:
                found[user_id] = sorted({link.client.value for link in links})
        return found
