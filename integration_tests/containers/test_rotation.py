"""Change every secret of the running stack as the guide says."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from guide import blocks
from operating import answer

import flowclient

if TYPE_CHECKING:
    from installation import Site

#: What a new file and a restart change, by the guide, and the role that logs in with it.
ROLES = {
    "FLOWDB_POSTGRES_PASSWORD": ("flowdb", "flowdb", "flowdb"),
    "FLOWMACHINE_FLOWDB_PASSWORD": ("flowdb", "flowmachine", "flowdb"),
    "FLOWAPI_FLOWDB_PASSWORD": ("flowdb", "flowapi", "flowdb"),
    "FLOWAUTH_DB_PASSWORD": ("accounts", "flowauth", "postgres"),
}
BY_RESTART = (*ROLES, "FLOWETL_PREFECT_PASSWORD", "FLOWMACHINE_KEY", "SECRET_KEY")
LOG_IN = (
    "exec -T -e PGPASSWORD={password} {service} "
    "psql --host=127.0.0.1 --port=9000 --username={role} --dbname={database} --command='SELECT 1'"
)


def write(site: Site, name: str, text: str) -> None:
    """Write a secret over the old one, so that its owner and mode stay."""
    (site.folder / "secrets" / name).write_text(text)


def test_passwords_and_keys_change_by_a_restart(site: Site, loaded: flowclient.Connection) -> None:
    before = answer(loaded)
    old = {name: site.secret(name) for name in BY_RESTART}
    for name in BY_RESTART:
        write(site, name, secrets.token_urlsafe(32))
    (restart,) = blocks("production.md", "Change a password")
    site.shell(restart)
    site.wait_until_well()
    # The token still holds, and both a stored and a new result come through every new password.
    assert answer(loaded).equals(before)
    assert len(answer(loaded, method="most-common", hours=(2, 22))) > 0
    for name, (service, role, database) in ROLES.items():
        who = {"service": service, "role": role, "database": database}
        site.compose(LOG_IN.format(password=site.secret(name), **who))
        refused = site.compose(LOG_IN.format(password=old[name], **who), fails=True)
        assert "password authentication failed" in refused


def test_the_signing_key_is_replaced_while_old_tokens_last(site: Site, loaded: flowclient.Connection) -> None:
    restart = "up --detach --force-recreate flowapi flowauth"
    make = f"docker run --rm --volume $PWD/new-keys:/secrets flowkit-flowauth:{site.tag}"
    site.shell(
        "rm -rf new-keys && mkdir new-keys && chown 10001 new-keys && "
        f"{make} python -m flowauth generate-signing-keys /secrets"
    )
    new = {
        name: (site.folder / "new-keys" / name).read_text()
        for name in ("PUBLIC_JWT_SIGNING_KEY", "PRIVATE_JWT_SIGNING_KEY")
    }
    write(
        site, "PUBLIC_JWT_SIGNING_KEY", new["PUBLIC_JWT_SIGNING_KEY"] + site.secret("PUBLIC_JWT_SIGNING_KEY")
    )
    write(site, "PRIVATE_JWT_SIGNING_KEY", new["PRIVATE_JWT_SIGNING_KEY"])
    site.compose(restart)
    site.wait_until_well()
    before = answer(loaded)
    renewed = site.connect()
    assert answer(renewed).equals(before)
    write(site, "PUBLIC_JWT_SIGNING_KEY", new["PUBLIC_JWT_SIGNING_KEY"])
    site.compose(restart)
    site.wait_until_well()
    with pytest.raises(flowclient.FlowclientConnectionError, match=r"401|signature|token"):
        answer(loaded)
    assert answer(renewed).equals(before)


def test_the_storage_key_is_replaced(site: Site, loaded: flowclient.Connection) -> None:
    restart = "up --detach --force-recreate flowauth"
    old = site.secret("FLOWAUTH_FERNET_KEY")
    new = site.compose("exec -T flowauth python -m flowauth generate-fernet-key").strip()
    write(site, "FLOWAUTH_FERNET_KEY", f"{new}\n{old}\n")
    site.compose(restart)
    site.wait_until_well()
    told = site.compose("exec -T flowauth python -m flowauth encrypt-again")
    assert "encrypted with the first key" in told
    write(site, "FLOWAUTH_FERNET_KEY", f"{new}\n")
    site.compose(restart)
    site.wait_until_well()
    # Stored tokens can be shown again, so they are readable with the new key alone.
    assert answer(site.connect()).equals(answer(loaded))
