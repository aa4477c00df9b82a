"""Runs migrations on the connection that `db.session.Database.upgrade` gives; there is no other way in."""

from alembic import context

from conda_store_hub.db.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
