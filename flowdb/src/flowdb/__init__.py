"""Provide the database: migrations, roles, grants, file keys, test databases."""

from importlib.metadata import version

__version__ = version("flowdb")
