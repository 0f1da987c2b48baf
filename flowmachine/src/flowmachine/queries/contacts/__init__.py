"""Kinds about who is in contact with whom."""
