"""Define the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from flowauth import clock


class UtcDateTime(TypeDecorator[datetime]):
    """Store a moment with its zone, even in a database without zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("A moment without a zone cannot be stored.")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012


def _link(name: str, left: str, right: str) -> Table:
    """Build a many-to-many table whose rows are deleted with either end."""
    return Table(
        name,
        Base.metadata,
        *(
            Column(
                f"{end}_id",
                Integer,
                ForeignKey(f"{'token_history' if end == 'token' else end}.id", ondelete="CASCADE"),
                primary_key=True,
                # The primary key serves searches by its first column only.
                index=end == "role",
            )
            for end in (left, right)
        ),
    )


scopes_in_role = _link("scopes_in_role", "scope", "role")
users_with_roles = _link("users_with_roles", "user", "role")
tokens_with_roles = _link("tokens_with_roles", "token", "role")
server_administrators = _link("server_administrators", "user", "server")


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(75), unique=True)
    password_hash: Mapped[str] = mapped_column("_password", Text)
    is_admin: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    #: May read everything that administrators see, and change nothing of it.
    is_auditor: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    #: Signs in by scripts only, such as the maker of reports.
    is_service: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    require_two_factor: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    must_change_password: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    #: Language of the pages, such as ``fr``; None follows the browser.
    language: Mapped[str | None] = mapped_column(String(2))

    roles: Mapped[list[Role]] = relationship(
        secondary=users_with_roles, back_populates="users", order_by="Role.name", passive_deletes=True
    )
    #: Servers whose roles, scopes, limits and tokens the user administers.
    administers: Mapped[list[Server]] = relationship(
        secondary=server_administrators, order_by="Server.name", passive_deletes=True
    )
    tokens: Mapped[list[Token]] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )
    two_factor: Mapped[TwoFactor | None] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def has_two_factor(self) -> bool:
        return self.two_factor is not None and self.two_factor.enabled

    @property
    def must_set_up_two_factor(self) -> bool:
        return self.require_two_factor and not self.has_two_factor

    @property
    def is_pending(self) -> bool:
        """Return whether a signed-in user must first put the account in order."""
        return self.must_change_password or self.must_set_up_two_factor


class TwoFactor(Base):
    __tablename__ = "two_factor_auth"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    enabled: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    encrypted_secret: Mapped[str] = mapped_column("_secret_key", Text)
    last_step: Mapped[int | None] = mapped_column(BigInteger)

    user: Mapped[User] = relationship(back_populates="two_factor")
    backup_codes: Mapped[list[BackupCode]] = relationship(
        back_populates="two_factor", cascade="all, delete-orphan", passive_deletes=True
    )


class BackupCode(Base):
    __tablename__ = "two_factor_backup"
    __table_args__ = (UniqueConstraint("auth_id", "_backup_code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    auth_id: Mapped[int] = mapped_column(ForeignKey("two_factor_auth.user_id", ondelete="CASCADE"))
    digest: Mapped[str] = mapped_column("_backup_code", Text)

    two_factor: Mapped[TwoFactor] = relationship(back_populates="backup_codes")


class Server(Base):
    __tablename__ = "server"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(75), unique=True)
    latest_token_expiry: Mapped[datetime | None]
    longest_token_life_minutes: Mapped[int]
    #: Query kind to a sentence; None for servers registered before this column existed.
    kind_sentences: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    scopes: Mapped[list[Scope]] = relationship(
        back_populates="server", cascade="all, delete-orphan", passive_deletes=True, order_by="Scope.name"
    )
    roles: Mapped[list[Role]] = relationship(
        back_populates="server", cascade="all, delete-orphan", passive_deletes=True, order_by="Role.name"
    )
    tokens: Mapped[list[Token]] = relationship(
        back_populates="server", cascade="all, delete-orphan", passive_deletes=True
    )


class Scope(Base):
    __tablename__ = "scope"
    __table_args__ = (UniqueConstraint("name", "server_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(512))
    enabled: Mapped[bool] = mapped_column(Boolean, default=True, server_default=true())
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id", ondelete="CASCADE"))

    server: Mapped[Server] = relationship(back_populates="scopes")
    roles: Mapped[list[Role]] = relationship(
        secondary=scopes_in_role, back_populates="scopes", passive_deletes=True
    )


class Role(Base):
    __tablename__ = "role"
    __table_args__ = (UniqueConstraint("name", "server_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(75))
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id", ondelete="CASCADE"))
    latest_token_expiry: Mapped[datetime | None]
    longest_token_life_minutes: Mapped[int]

    server: Mapped[Server] = relationship(back_populates="roles")
    scopes: Mapped[list[Scope]] = relationship(
        secondary=scopes_in_role, back_populates="roles", order_by="Scope.name", passive_deletes=True
    )
    users: Mapped[list[User]] = relationship(
        secondary=users_with_roles, back_populates="roles", order_by="User.username", passive_deletes=True
    )

    @property
    def scope_names(self) -> list[str]:
        """Return the sorted scopes for a new token, without disabled scopes."""
        return sorted(scope.name for scope in self.scopes if scope.enabled)


class Token(Base):
    __tablename__ = "token_history"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(75))
    encrypted_token: Mapped[str] = mapped_column("_token", Text)
    jti: Mapped[str] = mapped_column(String(36), unique=True)
    issued: Mapped[datetime]
    expiry: Mapped[datetime] = mapped_column(index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id", ondelete="CASCADE"), index=True)
    #: Names of the roles at minting, so that the history survives a role's deletion.
    role_names: Mapped[list[str]]
    revoked_at: Mapped[datetime | None]
    #: Reason of the revocation, shown to the token's owner.
    revoked_because: Mapped[str | None] = mapped_column(String(300))
    #: Last use as reported by API servers, to the minute.
    last_used: Mapped[datetime | None]
    #: The owner's list leaves it out; administrators see it.
    is_hidden: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())

    user: Mapped[User] = relationship(back_populates="tokens")
    server: Mapped[Server] = relationship(back_populates="tokens")
    roles: Mapped[list[Role]] = relationship(
        secondary=tokens_with_roles, order_by="Role.name", passive_deletes=True
    )

    @property
    def has_ended(self) -> bool:
        """Return whether the token is revoked or expired."""
        return self.revoked_at is not None or self.expiry <= clock.now()


class Revocation(Base):
    """List a token that API servers must refuse until it expires."""

    __tablename__ = "revocation"

    jti: Mapped[str] = mapped_column(String(36), primary_key=True)
    expiry: Mapped[datetime]


class SigningKey(Base):
    """Hold a key pair that signs tokens.

    One key is active, at most one is next. The private key is empty for the key of the settings and for
    retired keys.
    """

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(String(43), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    public_pem: Mapped[str] = mapped_column(Text)
    encrypted_private: Mapped[str | None] = mapped_column(Text)
    created: Mapped[datetime]
    retired: Mapped[datetime | None]


class DeviceGrant(Base):
    """Hold what a program without a browser waits for: a user who approves its code."""

    __tablename__ = "device_grant"

    #: Digest of the code with which the program asks for its token.
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_code: Mapped[str] = mapped_column(String(8), unique=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id", ondelete="CASCADE"))
    client: Mapped[str] = mapped_column(String(75))
    address: Mapped[str] = mapped_column(String(60))
    created: Mapped[datetime]
    expires: Mapped[datetime]
    last_poll: Mapped[datetime | None]
    denied: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    token_id: Mapped[int | None] = mapped_column(ForeignKey("token_history.id", ondelete="CASCADE"))

    server: Mapped[Server] = relationship()
    token: Mapped[Token | None] = relationship()


class ReportReader(Base):
    """Let a user read the reports of the recipients that their definitions name."""

    __tablename__ = "report_reader"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    recipients: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class AccountLink(Base):
    """Hold a user's one-time link for choosing a password; the digest opens nothing."""

    __tablename__ = "account_link"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    expires: Mapped[datetime]

    user: Mapped[User] = relationship()


class ApiCredential(Base):
    """Hold a user's credential for scripts; the digest opens nothing."""

    __tablename__ = "api_credential"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(75))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    rights: Mapped[list[str]]
    created: Mapped[datetime]
    expires: Mapped[datetime]
    #: To the hour.
    last_used: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class Identity(Base):
    """Connect a provider's identity with the account that it signs in to."""

    __tablename__ = "identity"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    created: Mapped[datetime]


class WebSession(Base):
    """Hold a web session.

    The key is a digest, so that a copy of the table opens no session.
    """

    __tablename__ = "web_session"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    created: Mapped[datetime]
    last_seen: Mapped[datetime]
    expires: Mapped[datetime] = mapped_column(index=True)
    encrypted_data: Mapped[str] = mapped_column("_data", Text)


class SignInAttempts(Base):
    """Count tries since the last success, for one account or one address."""

    __tablename__ = "sign_in_attempts"

    subject: Mapped[str] = mapped_column(String(80), primary_key=True)
    attempts: Mapped[int]
    last_attempt: Mapped[datetime]
    blocked_until: Mapped[datetime | None]


class AuditEvent(Base):
    """Record one change: actor, action and target.

    Triggers refuse updates, so rows never change.
    """

    __tablename__ = "audit_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(75), index=True)
    action: Mapped[str] = mapped_column(String(60), index=True)
    subject: Mapped[str] = mapped_column(String(200), index=True)
    detail: Mapped[dict[str, Any]]
    address: Mapped[str] = mapped_column(String(60))
    #: As the log has it. SQLite checks no length, so its column was never changed.
    request_id: Mapped[str] = mapped_column(String(100).with_variant(String(36), "sqlite"))
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """Hold the end of the chain in one row.

    Appending locks this row. The stored length reveals a shortened chain.
    """

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    length: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))


class AuditAnchor(Base):
    """Mark an event of the chain: the last deleted, or the last verified.

    Zeros mean the chain's start.
    """

    __tablename__ = "audit_anchor"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[int]
    length: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))
