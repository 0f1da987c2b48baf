"""Settings by their names, as all services look them up."""

from flowsettings import SettingError, integer_setting, setting

__all__ = ["SettingError", "integer_setting", "setting"]
