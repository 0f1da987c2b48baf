"""Run pending revisions in the transaction that `flowdb.migrate` opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_migrations",
    version_table_schema="public",
)
context.run_migrations()
