"""Settings: where they come from, what they may be, and how they are shown (pages 5.2 and 5.6).

``service`` and ``cli`` call :func:`load` once at start. The room knows no other room but
``imd.domain``, opens no connection and keeps nothing.
"""

from __future__ import annotations

from imd.config.errors import SettingsError
from imd.config.loading import load
from imd.config.settings import Settings, defaults
from imd.config.shown import hidden

__all__ = ["Settings", "SettingsError", "defaults", "hidden", "load"]
