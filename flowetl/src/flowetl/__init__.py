"""Loading: files to pseudonymised events in both stores, and quality checks."""

from importlib.metadata import version

__version__ = version("flowetl")
