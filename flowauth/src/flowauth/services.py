"""What every request shares: settings, the database engine, the password hasher."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.fernet import InvalidToken
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from flowauth.database import connect
from flowauth.passwords import Passwords
from flowauth.settings import Settings


@dataclass(frozen=True)
class Services:
    settings: Settings
    engine: Engine
    passwords: Passwords

    @classmethod
    def of(cls, settings: Settings) -> Services:
        return cls(settings, connect(settings.database_uri), Passwords(settings.hashing))

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the connections to the database."""
        self.engine.dispose()

    def session(self, *, reading: bool = False) -> Session:
        """A new database session; one opened for reading must not write."""
        return Session(self.engine.execution_options(reading=reading))

    def encrypt(self, text: str) -> str:
        """Text as it is kept in the database."""
        return self.settings.fernet.encrypt(text.encode()).decode()

    def decrypt(self, stored: str) -> str | None:
        """The text again; None if its key is no longer among those of the settings."""
        try:
            return self.settings.fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            return None
