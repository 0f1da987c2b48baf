"""Locate each subscriber, or count places."""
