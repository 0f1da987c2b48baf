"""Writes the client's query functions from one table of kinds. A development tool; not part of the package."""
