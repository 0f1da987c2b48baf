"""Define queries and parse specs, without any database."""
