"""Settings of all services: a secret file first, then the environment, and one wording of refusals.

This module needs the standard library only, so that ``--help`` does not wait for pydantic. Classes of settings are made
from `flowsettings.service.ServiceSettings`.
"""

from importlib.metadata import version

from flowsettings.lookup import SettingError, integer_setting, setting

__all__ = ["SettingError", "integer_setting", "setting"]
__version__ = version("flowsettings")
