"""Hold servers, roles, users and tokens: the auth app.

A role is a set of one server's scopes. Users mint tokens from the roles they hold.
"""

from importlib.metadata import version

__version__ = version("flowauth")
