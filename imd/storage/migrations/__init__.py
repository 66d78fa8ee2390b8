"""The steps from an empty database to the present schema, run by Alembic (page 6).

Imported only when a schema is behind. Each step is plain SQL, with the two dialects side by side
where they differ.
"""
