"""Serve tokens, scopes and released results over HTTP."""

from importlib.metadata import version

__version__ = version("flowapi")
