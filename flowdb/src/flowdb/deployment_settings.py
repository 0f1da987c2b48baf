"""Define the settings of a database deployment."""

from __future__ import annotations

from pydantic import Field

from flowsettings.service import ServiceSettings
from flowsettings.values import Port, TimeZone


class DeploymentSettings(ServiceSettings):
    """Hold the database's address, its three logins and its time zone."""

    host: str = Field("localhost", validation_alias="FLOWDB_HOST")
    port: Port = Field(9000, validation_alias="FLOWDB_PORT")
    database: str = Field("flowdb", validation_alias="FLOWDB_DATABASE")
    timezone: TimeZone = Field("UTC", validation_alias="FLOWDB_TIMEZONE")
    superuser_password: str = Field(validation_alias="FLOWDB_POSTGRES_PASSWORD", repr=False)
    engine_user: str = Field("flowmachine", validation_alias="FLOWMACHINE_FLOWDB_USER")
    engine_password: str = Field(validation_alias="FLOWMACHINE_FLOWDB_PASSWORD", repr=False)
    api_user: str = Field("flowapi", validation_alias="FLOWAPI_FLOWDB_USER")
    api_password: str = Field(validation_alias="FLOWAPI_FLOWDB_PASSWORD", repr=False)
