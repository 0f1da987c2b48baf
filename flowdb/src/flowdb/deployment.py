"""Describe one database: server, logins and time zone of its days."""

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
    """Hold a user name and a password; the representation omits the password."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r})"


@dataclass(frozen=True)
class Deployment:
    """Describe one database on one server, with the three logins that use it."""

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
                f"{ENGINE_ROLE} is the engine's role and {API_ROLE} the API's; do not swap them."
            )

    @classmethod
    def from_settings(cls) -> Deployment:
        """Build the deployment from settings.

        Raises SettingError naming the first missing setting.
        """
        # Imported here because pydantic would slow down `--help` and the tests' plugin.
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
        """Return the zone whose midnights begin the days."""
        return ZoneInfo(self.timezone)

    def named(self, database: str) -> Deployment:
        """Return the same server and logins with another database."""
        return replace(self, database=database)

    def url(self, login: Login | None = None) -> URL:
        """Return the SQLAlchemy URL for one of the logins, by default the superuser's."""
        login = login or self.superuser
        return database_url(self.host, self.port, self.database, login)


def database_url(host: str, port: int, database: str, login: Login) -> URL:
    """Return the SQLAlchemy URL (psycopg2) of a database."""
    return URL.create("postgresql+psycopg2", login.user, login.password, host, port, database)
