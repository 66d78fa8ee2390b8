"""imd, the instant-messaging server of a family-doctor service.

The package itself holds only the version, which the build, the start-up log and ``imdctl`` read
from here; it refuses to import any of its rooms.
"""

from __future__ import annotations

__version__ = "0.1.0"
