"""The auth app: servers, their scopes grouped into roles, the users who hold them, and the tokens they mint."""

__version__ = "0.1.0"
