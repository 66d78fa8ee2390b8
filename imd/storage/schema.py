"""Which schema this program needs, and how to ask a database which one it has.

Asked at every start, so it uses one plain query and no migration library.
"""

from __future__ import annotations

from imd.storage.engine import Connection

#: the newest step that this program knows
HEAD = "0007"
#: every step that this program can start from, oldest first
KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
VERSION_TABLE = "schema_version"


class SchemaError(Exception):
    """The database's schema cannot be used as it is; the sentence says what to do."""


def version_of(connection: Connection) -> str | None:
    """The step that the database stands at, None for an empty database.

    Raises SchemaError for a step that this program does not know: a newer one wrote it.
    """
    if connection.row_locks:
        sql = (
            "SELECT count(*) FROM information_schema.tables"
            f" WHERE table_schema = 'im' AND table_name = '{VERSION_TABLE}'"
        )
    else:
        sql = f"SELECT count(*) FROM sqlite_master WHERE name = '{VERSION_TABLE}'"
    there = connection.row(sql)
    if not there or not there[0]:
        return None
    found = connection.row(f"SELECT version_num FROM {VERSION_TABLE}")
    if found is None:
        return None
    if found[0] not in KNOWN:
        raise SchemaError(
            f"The database has schema {found[0]}, newer than the {HEAD} that this program knows;"
            " run the newer program."
        )
    return str(found[0])
