"""The database of the platform: migrations, roles and grants, the keys of the columnar files, test databases."""

from importlib.metadata import version

__version__ = version("flowdb")
