"""Where one database is, who logs in to it and in which time zone its days are counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import URL

from flowsettings import SettingError
from flowsettings.lookup import TIME_ZONE, refusal

SUPERUSER = "flowdb"
ENGINE_ROLE = "flowmachine"
API_ROLE = "flowapi"


@dataclass(frozen=True)
class Login:
    """A user name with its password; the password stays out of the representation."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r})"


@dataclass(frozen=True)
class Deployment:
    """One database on one server, with the three logins that use it."""

    host: str
    port: int
    superuser: Login
    engine: Login
    api: Login
    database: str = "flowdb"
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if self.timezone not in available_timezones():
            raise refusal("FLOWDB_TIMEZONE", self.timezone, TIME_ZONE)
        users = [login.user for login in self.logins]
        if len(set(users)) != len(users):
            raise SettingError(
                f"The superuser, the engine and the API need three different users, not {users}."
            )
        if self.api.user == ENGINE_ROLE or self.engine.user == API_ROLE:
            raise SettingError(
                f"{ENGINE_ROLE} is the engine's role and {API_ROLE} the API's; they cannot be swapped."
            )

    @classmethod
    def from_settings(cls) -> Deployment:
        """The deployment that the settings describe; raises SettingError naming the first one missing."""
        # Imported here: it brings pydantic, for which `--help` and the tests' plugin should not wait.
        from flowdb.deployment_settings import DeploymentSettings

        given = DeploymentSettings.load()
        return cls(
            host=given.host,
            port=given.port,
            superuser=Login(SUPERUSER, given.superuser_password),
            engine=Login(given.engine_user, given.engine_password),
            api=Login(given.api_user, given.api_password),
            database=given.database,
            timezone=given.timezone,
        )

    @property
    def logins(self) -> tuple[Login, Login, Login]:
        return self.superuser, self.engine, self.api

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose midnights begin the days."""
        return ZoneInfo(self.timezone)

    def named(self, database: str) -> Deployment:
        """The same server and logins with another database."""
        return replace(self, database=database)

    def url(self, login: Login | None = None) -> URL:
        """SQLAlchemy URL of the database for one of the logins, the superuser's unless told."""
        login = login or self.superuser
        return database_url(self.host, self.port, self.database, login)


def database_url(host: str, port: int, database: str, login: Login) -> URL:
    """SQLAlchemy URL (psycopg2) of a database."""
    return URL.create("postgresql+psycopg2", login.user, login.password, host, port, database)
