"""Define the settings of a database deployment and of its cache."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PlainValidator

from flowsettings.service import ServiceSettings
from flowsettings.strength import Secret
from flowsettings.values import Port, TimeZone, WholeNumber


class DeploymentSettings(ServiceSettings):
    """Hold the database's address, its three logins and its time zone."""

    host: str = Field("localhost", validation_alias="FLOWDB_HOST")
    port: Port = Field(9000, validation_alias="FLOWDB_PORT")
    database: str = Field("flowdb", validation_alias="FLOWDB_DATABASE")
    timezone: TimeZone = Field("UTC", validation_alias="FLOWDB_TIMEZONE")
    superuser_password: Secret = Field(validation_alias="FLOWDB_POSTGRES_PASSWORD", repr=False)
    engine_user: str = Field("flowmachine", validation_alias="FLOWMACHINE_FLOWDB_USER")
    engine_password: Secret = Field(validation_alias="FLOWMACHINE_FLOWDB_PASSWORD", repr=False)
    api_user: str = Field("flowapi", validation_alias="FLOWAPI_FLOWDB_USER")
    api_password: Secret = Field(validation_alias="FLOWAPI_FLOWDB_PASSWORD", repr=False)


class CacheSettings(ServiceSettings):
    """Hold limits of stored results by their keys in ``cache.cache_config``.

    None leaves the present value.
    """

    cache_size: Annotated[int, PlainValidator(WholeNumber(0, 2**62))] | None = Field(
        None, validation_alias="CACHE_SIZE"
    )
    half_life: Annotated[int, PlainValidator(WholeNumber(1))] | None = Field(
        None, validation_alias="CACHE_HALF_LIFE"
    )
    cache_protected_period: Annotated[int, PlainValidator(WholeNumber(-(2**31)))] | None = Field(
        None, validation_alias="CACHE_PROTECTED_PERIOD"
    )
