"""Run by alembic for every migration; `pruning.history.opening.migrate` hands it the connection."""

from alembic import context

from pruning.history.opening import VERSION_TABLE
from pruning.history.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
