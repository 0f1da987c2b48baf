"""Where results are stored, and which executors there are. `flowmachine.stores.choice` says which computes a query."""

#: The executor over columnar files, and that over the database's own tables; each has a store of its own.
COLUMNAR = "duckdb"
TABLES = "postgres"
EXECUTORS = (COLUMNAR, TABLES)
