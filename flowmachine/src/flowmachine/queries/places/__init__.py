"""Kinds that place each subscriber, or count places."""
