"""Kinds that measure how subscribers move."""
