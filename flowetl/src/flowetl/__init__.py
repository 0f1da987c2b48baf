"""Load files as pseudonymised events into both stores and check their quality."""

from importlib.metadata import version

__version__ = version("flowetl")
