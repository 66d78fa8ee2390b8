"""The verbs: one function each, the same for REST and for the socket.

An action asks the domain to decide, the store to keep, and the courier to tell; it never sees a
request object, a socket or a database library. What it needs from the adapters stands in
:mod:`imd.actions.ports`.
"""
