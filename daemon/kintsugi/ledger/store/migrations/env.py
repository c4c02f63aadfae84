"""The script that alembic runs: the connection comes from `schema.migrate`, which also commits."""

from alembic import context

from kintsugi.ledger.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
