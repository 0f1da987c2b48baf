"""The auth app: servers, their scopes grouped into roles, the users who hold them, and the tokens they mint."""

from importlib.metadata import version

__version__ = version("flowauth")
