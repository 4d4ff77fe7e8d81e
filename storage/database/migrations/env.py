"""How Alembic runs: inside the transaction that `storage.database.upgrade` hands over."""

from alembic import context

from storage.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
