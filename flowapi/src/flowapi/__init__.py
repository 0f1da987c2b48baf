"""The HTTP API: tokens, scopes and released results."""

from importlib.metadata import version

__version__ = version("flowapi")
