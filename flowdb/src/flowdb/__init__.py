"""The database of the platform: migrations, roles and grants, the keys of the columnar files, test databases."""

__version__ = "0.1.0"
