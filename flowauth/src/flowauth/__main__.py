"""``python -m flowauth <command>``."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import waitress
from cryptography.fernet import Fernet
from sqlalchemy import select

from flowauth import __version__, api_description, clock, logs, revocation
from flowauth.actions import keys, signing_keys, trail
from flowauth.actions.demo import OtherUsersError, load_demo
from flowauth.actions.users import change_user, create_user, unlock_user
from flowauth.app import LARGEST_REQUEST, create_app
from flowauth.audit import CONSOLE
from flowauth.copying import copy_database
from flowauth.database import migrate, opened, reset
from flowauth.errors import Refusal
from flowauth.models import User
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.signing import new_key, private_pem, public_pem
from flowsettings import SettingError

_MOST_DAYS = 36_500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    A command that fails returns 1 and writes a sentence to standard error.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except Refusal as refusal:
        return _complain(refusal.message)
    except (SettingError, OSError) as error:
        return _complain(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flowauth", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("init-db", help="create the schema or bring it up to date")
    command.add_argument("--force", action="store_true", help="drop everything first")
    command.set_defaults(run=init_db)

    command = commands.add_parser(
        "copy-database", help="copy all rows of another database into the empty one of DB_URI"
    )
    command.add_argument("source", help="address of the other database, such as sqlite:////old.sqlite")
    command.set_defaults(run=copy)

    command = commands.add_parser("add-admin", help="create an administrator; asks for the password")
    command.add_argument("username")
    command.add_argument("--password-file", type=Path, help="read the password from this file")
    command.set_defaults(run=add_admin)

    command = commands.add_parser("reset-user", help="unlock a user after too many failed tries")
    command.add_argument("username")
    command.add_argument("--unlock", action="store_true", help="forget the failed tries")
    command.add_argument("--remove-two-factor", action="store_true", help="the device is lost")
    password = command.add_mutually_exclusive_group()
    password.add_argument(
        "--password", action="store_true", help="ask for a new password, to be changed at sign-in"
    )
    password.add_argument("--password-file", type=Path, help="read the new password from this file")
    command.set_defaults(run=reset_user)

    command = commands.add_parser("demo-data", help="load the demo server, roles and users")
    command.add_argument(
        "--api-description",
        type=Path,
        default=Path(__file__).with_name("demo_api_description.json"),
        help="OpenAPI document of the API server (default: a bundled one)",
    )
    command.set_defaults(run=demo_data)

    command = commands.add_parser("revoked-tokens", help="print the ids of revoked tokens, for API servers")
    command.set_defaults(run=revoked_tokens)

    command = commands.add_parser("check-audit", help="hash every event of the audit trail again")
    command.set_defaults(run=check_audit)

    command = commands.add_parser("forget-audit", help="delete old events; the chain goes on")
    command.add_argument("--older-than-days", type=int, required=True, metavar="DAYS")
    command.set_defaults(run=forget_audit)

    command = commands.add_parser("generate-fernet-key", help="print a new FLOWAUTH_FERNET_KEY")
    command.set_defaults(run=generate_fernet_key)

    command = commands.add_parser(
        "encrypt-again", help="encrypt stored secrets again with the first of several FLOWAUTH_FERNET_KEYs"
    )
    command.set_defaults(run=encrypt_again)

    command = commands.add_parser("generate-signing-keys", help="write a new RSA key pair into a folder")
    command.add_argument("folder", type=Path)
    command.add_argument("--bits", type=int, default=4096, choices=(2048, 3072, 4096))
    command.set_defaults(run=generate_signing_keys)

    command = commands.add_parser(
        "signing-keys", help="print the public keys for API servers, or replace the key that signs tokens"
    )
    command.add_argument(
        "action", nargs="?", choices=("show", "prepare", "activate", "discard"), default="show"
    )
    command.set_defaults(run=replace_signing_key)

    command = commands.add_parser("serve", help="migrate the schema and serve the app")
    command.set_defaults(run=serve)
    return parser


def init_db(options: argparse.Namespace) -> None:
    with Services.of(Settings.load()) as services:
        if options.force:
            reset(services.engine)
        else:
            migrate(services.engine)
        ensure_configured_admin(services)


def copy(options: argparse.Namespace) -> None:
    with Services.of(Settings.load()) as services, opened(options.source) as source:
        copied = copy_database(source, services.engine)
    sys.stdout.write(f"{copied} rows are copied.\n")


def ensure_configured_admin(services: Services) -> None:
    """Create the administrator of the settings unless the account exists.

    An existing administrator keeps the present password.
    """
    username, password = services.settings.admin_username, services.settings.admin_password
    if not username or not password:
        return
    with services.session(reading=True) as database:
        exists = database.scalars(select(User.id).where(User.username == username)).first() is not None
    if not exists:
        _create_admin(services, username, password)


def _say_if_nobody_administers(services: Services) -> None:
    with services.session(reading=True) as database:
        administrators = database.scalars(select(User.id).where(User.is_admin)).first()
    if administrators is None:
        sys.stderr.write(
            "flowauth: this app has no administrator yet: run `python -m flowauth add-admin NAME`, or set "
            "FLOWAUTH_ADMIN_USERNAME and FLOWAUTH_ADMIN_PASSWORD and start again.\n"
        )


def add_admin(options: argparse.Namespace) -> None:
    with Services.of(Settings.load()) as services:
        _create_admin(services, options.username, _password(options))


def _password(options: argparse.Namespace) -> str:
    if options.password_file:
        return str(options.password_file.read_text().rstrip("\r\n"))
    password = getpass.getpass(f"Password for {options.username}: ")
    if getpass.getpass("Again: ") != password:
        raise Refusal("The two passwords differ.")
    return password


def reset_user(options: argparse.Namespace) -> None:
    changes_password = options.password or options.password_file
    if not (options.unlock or options.remove_two_factor or changes_password):
        raise Refusal("Say what to reset: --unlock, --remove-two-factor, --password or --password-file.")
    password = _password(options) if changes_password else None
    with Services.of(Settings.load()) as services, services.session() as database:
        user = database.scalars(select(User).where(User.username == options.username)).one_or_none()
        if user is None:
            raise Refusal(f"There is no user {options.username}.", 404)
        change_user(
            database,
            services,
            CONSOLE,
            user.id,
            password=password,
            remove_two_factor=options.remove_two_factor,
        )
        if options.unlock:
            unlock_user(database, CONSOLE, user.id)


def _create_admin(services: Services, username: str, password: str) -> None:
    with services.session() as database:
        create_user(
            database, services, CONSOLE, username, password, is_admin=True, must_change_password=False
        )


def demo_data(options: argparse.Namespace) -> int:
    """Load the demo data.

    Returns 3 where people have accounts, so that a caller can tell this from a failure.
    """
    description = api_description.parse(options.api_description.read_bytes())
    with Services.of(Settings.load()) as services:
        migrate(services.engine)
        with services.session() as database:
            try:
                load_demo(database, services, description)
            except OtherUsersError as refusal:
                sys.stderr.write(f"flowauth: {refusal}\n")
                return 3
    return 0


def revoked_tokens(_options: argparse.Namespace) -> None:
    with (
        Services.of(Settings.load()) as services,
        services.session(reading=True) as database,
    ):
        sys.stdout.write(revocation.listing(database))


def check_audit(_options: argparse.Namespace) -> int:
    with Services.of(Settings.load()) as services, services.session(reading=True) as database:
        broken = trail.check(database, everything=True)
    sys.stdout.write((broken or "The chain is whole.") + "\n")
    return 1 if broken else 0


def forget_audit(options: argparse.Namespace) -> None:
    days = options.older_than_days
    if not 1 <= days <= _MOST_DAYS:
        raise Refusal(f"--older-than-days must be from 1 to {_MOST_DAYS}.")
    with Services.of(Settings.load()) as services, services.session() as database:
        count = trail.forget(database, CONSOLE, clock.now() - timedelta(days=days))
    sys.stdout.write(f"{count} events are deleted.\n")


def generate_fernet_key(_options: argparse.Namespace) -> None:
    sys.stdout.write(Fernet.generate_key().decode() + "\n")


def encrypt_again(_options: argparse.Namespace) -> None:
    with Services.of(Settings.load()) as services, services.session() as database:
        count = keys.encrypt_again(database, services)
    sys.stdout.write(
        f"{count} stored tokens, second factors and signing keys are encrypted with the first key.\n"
    )


def generate_signing_keys(options: argparse.Namespace) -> None:
    """Write a new signing key pair into a folder.

    The files are ``PRIVATE_JWT_SIGNING_KEY`` and ``PUBLIC_JWT_SIGNING_KEY``. Existing files stay.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    key = new_key(options.bits)
    for name, text, mode in (
        ("PRIVATE_JWT_SIGNING_KEY", private_pem(key), 0o600),
        ("PUBLIC_JWT_SIGNING_KEY", public_pem(key), 0o644),
    ):
        descriptor = os.open(options.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)


def replace_signing_key(options: argparse.Namespace) -> None:
    """Make, activate or discard the next signing key; print the public keys."""
    with Services.of(Settings.load()) as services, services.session() as database:
        if options.action == "prepare":
            signing_keys.prepare(database, services, CONSOLE)
        elif options.action == "activate":
            signing_keys.activate(database, services, CONSOLE)
        elif options.action == "discard":
            signing_keys.discard(database, CONSOLE)
        sys.stdout.write(signing_keys.public_pems(database, services))


#: A stranger can hold connections without ever asking. The usual limit is a hundred for two minutes, and nobody else
#: would be answered meanwhile. To wait for so many needs another call of the system's than the usual one.
CONNECTIONS = {
    "connection_limit": 5_000,
    "channel_timeout": 20,
    "cleanup_interval": 5,
    "asyncore_use_poll": True,
}


def serve(_options: argparse.Namespace) -> None:
    settings = Settings.load()
    logs.configure(settings.log_level)
    with Services.of(settings) as services:
        migrate(services.engine)
        signing_keys.enrol(services)
        ensure_configured_admin(services)
        _say_if_nobody_administers(services)
        if settings.revocation_file is not None:
            revocation.publish(services, settings.revocation_file)
    app = create_app(settings)
    if settings.metrics_port is not None:
        app.extensions["flowauth metrics"].serve(settings.bind, settings.metrics_port)
    server = waitress.create_server(
        app,
        host=settings.bind,
        port=settings.port,
        threads=8,
        ident=None,
        max_request_body_size=LARGEST_REQUEST,
        **CONNECTIONS,
        # The server removes forwarding headers by default, but the app reads those of trusted proxies.
        clear_untrusted_proxy_headers=settings.trusted_proxies == 0,
    )
    signal.signal(signal.SIGTERM, _stop)
    port = int(getattr(server, "effective_port", settings.port))
    logs.logger().info("started", address=settings.bind, port=port, version=__version__)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
    logs.logger().info("stopped")


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _complain(message: str) -> int:
    sys.stderr.write(f"flowauth: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
