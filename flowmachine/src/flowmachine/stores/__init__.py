"""Name the stores of results and the executors.

`flowmachine.stores.choice` chooses the executor of a query.
"""

#: Executors over columnar files and over the database's own tables; each has its own store.
COLUMNAR = "duckdb"
TABLES = "postgres"
EXECUTORS = (COLUMNAR, TABLES)
