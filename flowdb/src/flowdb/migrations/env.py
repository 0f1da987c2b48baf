"""What alembic runs: the revisions after the database's own, in the transaction `flowdb.migrate` opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_migrations",
    version_table_schema="public",
)
context.run_migrations()
