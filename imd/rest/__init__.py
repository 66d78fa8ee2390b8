"""The REST side of the one port (page 2): a table of routes, one road through them, hardened HTTP.

``service`` wires it; it calls ``actions`` and speaks ``wire``. It knows nothing of SQL, sockets or
where a message goes after it has been stored.
"""
