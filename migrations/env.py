"""Alembic's entry: the connection is handed over by core.db.migrate; there is no offline mode."""

from alembic import context

from core.db.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    compare_type=True,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
