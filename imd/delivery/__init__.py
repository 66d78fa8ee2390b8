"""Who is connected to this process, and what each of them is told, in which order.

Actions call it through :mod:`imd.actions.ports` after a commit; the socket room announces its
links to it. It never stores anything, never answers a request, and knows no WebSocket.
"""

from __future__ import annotations
