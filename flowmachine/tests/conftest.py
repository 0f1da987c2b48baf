"""Fixtures of the engine's tests."""

from flowmachine.testing import country, engine, own_country, processes

__all__ = ["country", "engine", "own_country", "processes"]
