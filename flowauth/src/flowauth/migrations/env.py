"""Run the migrations on the connection that `flowauth.database` hands over."""

from alembic import context

from flowauth.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
