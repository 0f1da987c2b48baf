"""Read settings of all services: secret files first, then the environment.

All services word refusals the same way. This module needs only the standard library, so that ``--help`` does
not wait for pydantic. Settings classes derive from `flowsettings.service.ServiceSettings`.
"""

from importlib.metadata import version

from flowsettings.lookup import SettingError, integer_setting, setting

__all__ = ["SettingError", "integer_setting", "setting"]
__version__ = version("flowsettings")
