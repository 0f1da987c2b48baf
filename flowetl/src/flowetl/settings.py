"""Define the loader's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, PlainValidator

from flowetl.pseudonyms import parse_key
from flowsettings.service import ServiceSettings
from flowsettings.strength import Secret
from flowsettings.values import Port, TimeZone, WebAddress


class LoaderSettings(ServiceSettings):
    """Hold the folders, time zone and database of the loader."""

    landing: Path = Field(validation_alias="FLOWETL_LANDING")
    columnar: Path = Field(validation_alias="FLOWDB_COLUMNAR_PATH")
    sources: Path = Field(validation_alias="FLOWETL_SOURCES")
    rejects: Path | None = Field(None, validation_alias="FLOWETL_REJECTS")
    hook: str | None = Field(None, validation_alias="FLOWETL_HOOK")
    opt_out: Path | None = Field(None, validation_alias="FLOWETL_OPT_OUT")
    retain_months: int | None = Field(None, ge=1, validation_alias="FLOWETL_RETAIN_MONTHS")
    report: Path | None = Field(None, validation_alias="FLOWETL_REPORT")
    minimum_known_cells: float = Field(0.5, ge=0, le=1, validation_alias="FLOWETL_MINIMUM_KNOWN_CELLS")
    longest_run_hours: float = Field(20, gt=0, validation_alias="FLOWETL_LONGEST_RUN_HOURS")
    bind: str = Field("127.0.0.1", validation_alias="FLOWKIT_BIND")
    metrics_port: Port | None = Field(None, validation_alias="FLOWETL_METRICS_PORT")
    timezone: TimeZone = Field("UTC", validation_alias="FLOWDB_TIMEZONE")
    host: str = Field("localhost", validation_alias="FLOWDB_HOST")
    port: Port = Field(9000, validation_alias="FLOWDB_PORT")
    database: str = Field("flowdb", validation_alias="FLOWDB_DATABASE")
    password: str = Field(validation_alias="FLOWDB_POSTGRES_PASSWORD", repr=False)


class OrchestratorSettings(ServiceSettings):
    """Hold the password of Prefect's server."""

    password: Secret = Field(validation_alias="FLOWETL_PREFECT_PASSWORD", repr=False)


class ReportSettings(ServiceSettings):
    """Hold the folders, API, token and time zone of reports."""

    definitions: Path = Field(validation_alias="FLOWKIT_REPORTS")
    out: Path = Field(validation_alias="FLOWKIT_REPORTS_OUT")
    api: str = Field("http://localhost:9090", validation_alias="FLOWAPI_URL")
    token_file: Path | None = Field(None, validation_alias="FLOWAPI_TOKEN_FILE")
    #: The service user of definitions that name a role.
    flowauth: WebAddress = Field(None, validation_alias="FLOWAUTH_URL")
    user: str | None = Field(None, validation_alias="FLOWKIT_REPORTS_USER")
    password_file: Path | None = Field(None, validation_alias="FLOWKIT_REPORTS_PASSWORD_FILE")
    timezone: TimeZone = Field("UTC", validation_alias="FLOWDB_TIMEZONE")
    bind: str = Field("127.0.0.1", validation_alias="FLOWKIT_BIND")
    metrics_port: Port | None = Field(None, validation_alias="FLOWKIT_REPORTS_METRICS_PORT")


class PseudonymSettings(ServiceSettings):
    """Hold the key of the pseudonyms.

    The key is read only when needed, because the state of days needs none.
    """

    key: Annotated[bytes, PlainValidator(parse_key)] = Field(
        validation_alias="FLOWETL_PSEUDONYM_KEY", repr=False
    )
