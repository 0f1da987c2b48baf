"""What can go wrong with a load, and who has to act."""


class LoadError(Exception):
    """Base of everything flowetl raises on purpose. The message names the file or field, never an identifier."""


class ConfigurationError(LoadError):
    """A setting or a source file is wrong: the administrator has to change it."""


class NotReady(LoadError):
    """The file is absent or still being written: trying again later may succeed."""


class DataFault(LoadError):
    """The file's content cannot be loaded: the operator has to deliver another one. Never retried."""


class Busy(LoadError):
    """Another load of the same day, or a long query on it, holds the day: trying again later may succeed."""
