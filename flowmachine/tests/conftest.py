"""Fixtures of the engine's tests."""

from flowmachine.testing import country, engine, processes

__all__ = ["country", "engine", "processes"]
