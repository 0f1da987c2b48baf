"""Where results are stored, and which executors there are. `flowmachine.stores.choice` says which computes a query."""

#: Executors over columnar files and over the database's own tables; each has its own store.
COLUMNAR = "duckdb"
TABLES = "postgres"
EXECUTORS = (COLUMNAR, TABLES)
