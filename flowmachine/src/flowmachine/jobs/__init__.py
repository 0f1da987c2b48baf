"""The job table, by who works with it."""
