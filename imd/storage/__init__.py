"""Where everything is kept: PostgreSQL or SQLite behind one port.

The service room opens a :class:`imd.storage.store.Store`; actions see it as the ports
``Database`` and ``Writer``. SQL stands beside the method that needs it, one file a noun. Rows and
cursors never leave this room, values do.
"""
