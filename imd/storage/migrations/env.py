"""Alembic's entry: runs or prints the steps on the connection that migrate.py hands over."""

from __future__ import annotations

from alembic import context

from imd.storage.schema import VERSION_TABLE

config = context.config
connection = config.attributes.get("connection")

if connection is None:
    context.configure(
        url=config.get_main_option("sqlalchemy.url"),
        literal_binds=True,
        output_buffer=config.output_buffer,
        version_table=VERSION_TABLE,
    )
else:
    context.configure(connection=connection, version_table=VERSION_TABLE)

with context.begin_transaction():
    context.run_migrations()
