"""Make ``twistd imd`` known to Twisted's plugin search; it reads this file, nobody else does.

It names the module that builds the service and imports nothing of imd, so that listing plugins
stays cheap for every other Twisted program on the machine. This folder and its parent must never
hold an ``__init__.py``.
"""

from __future__ import annotations

from twisted.application.service import ServiceMaker

imd = ServiceMaker(
    "imd",
    "imd.service.tap",
    "The instant-messaging server of a family-doctor service.",
    "imd",
)
