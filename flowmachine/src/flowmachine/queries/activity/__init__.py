"""Kinds that count and time the events of subscribers."""
