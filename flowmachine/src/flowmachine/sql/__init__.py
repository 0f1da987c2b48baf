"""Share pieces of SQL among query kinds."""
