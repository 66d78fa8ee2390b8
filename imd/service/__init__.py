"""Composition: which adapter serves which port, and how a process starts, runs and stops.

twistd's plugin and ``imdctl`` call it. It holds no rule of the domain; nobody else imports it.
"""

from __future__ import annotations
