"""Name the stores of intermediate results; jobs are kept under these names.

`flowmachine.stores.choice` chooses the executor of a query.
"""

#: Files, for all executors over files; the name is that of their first executor.
COLUMNAR = "duckdb"
#: Tables of the database.
TABLES = "postgres"
