"""Look up settings by name, as all services do."""

from flowsettings import SettingError, integer_setting, setting

__all__ = ["SettingError", "integer_setting", "setting"]
