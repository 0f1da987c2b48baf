"""The shared pieces of SQL that query kinds call."""
