"""Share settings, database engine and password hasher among requests."""

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
        """Open a database session; a session opened for reading must not write."""
        return Session(self.engine.execution_options(reading=reading))

    def encrypt(self, text: str) -> str:
        """Encrypt a text for the database."""
        return self.settings.fernet.encrypt(text.encode()).decode()

    def decrypt(self, stored: str) -> str | None:
        """Decrypt a text; None if its key is no longer in the settings."""
        try:
            return self.settings.fernet.decrypt(stored.encode()).decode()
        except InvalidToken:
            return None
