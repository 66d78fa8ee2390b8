"""The socket ``/ws`` (page 3): JSON-RPC over WebSocket, beside REST on the same port.

The service room builds :class:`imd.websocket.factory.Sockets` and mounts its resource. It calls
the same actions as REST does, and learns what to deliver from whoever stands behind
:class:`imd.websocket.link.Admission`.
"""

from __future__ import annotations
