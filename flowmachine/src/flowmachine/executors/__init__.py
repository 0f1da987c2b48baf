"""The two ways to compute: over columnar day files with DuckDB, over the partitions with PostgreSQL."""
