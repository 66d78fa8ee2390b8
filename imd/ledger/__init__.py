"""The neighbours' databases (page 7): moving over from the original, and the platform's ledger.

The command line and a timer of the service use it. It reaches foreign databases by SQLAlchemy and
imd's own by ports that storage implements; it refuses to know HTTP, sockets and settings.
"""

from __future__ import annotations
