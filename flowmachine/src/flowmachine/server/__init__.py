"""The server process and what it can be asked."""
