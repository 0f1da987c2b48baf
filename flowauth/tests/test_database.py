"""Check that migrations produce the models and can run concurrently."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session

from flowauth.actions import trail
from flowauth.copying import copy_database
from flowauth.database import is_current, migrate, opened, reset
from flowauth.errors import Refusal
from flowauth.models import Base, Server
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.testing import World, add_user


def test_the_migrations_build_what_the_models_say(services: Services) -> None:
    with services.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


@pytest.fixture(params=["sqlite", "postgresql"])
def new_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new.sqlite'}"
    return str(request.getfixturevalue("postgres").create())


def test_a_schema_is_built_kept_and_built_anew(new_uri: str) -> None:
    with opened(new_uri) as engine:
        assert not is_current(engine)
        migrate(engine)
        assert is_current(engine)
        with Session(engine) as session:
            session.add(Server(name="kept", longest_token_life_minutes=1))
            session.commit()
        migrate(engine)
        with Session(engine) as session:
            assert session.scalars(select(Server.name)).all() == ["kept"]
        reset(engine)
        with Session(engine) as session:
            assert session.scalars(select(Server.name)).all() == []
        assert "audit_event" in inspect(engine).get_table_names()


@pytest.mark.parametrize("new_uri", ["postgresql"], indirect=True)
def test_no_request_inherits_the_endless_wait_of_a_migration(new_uri: str) -> None:
    with opened(new_uri) as engine:
        migrate(engine)
        with engine.connect() as one, engine.connect() as other:
            limits = {each.execute(text("SHOW lock_timeout")).scalar_one() for each in (one, other)}
    assert limits == {"10s"}


def test_many_may_migrate_at_once(new_uri: str) -> None:
    program = """if True:
        import sys
        from flowauth.database import migrate, opened
        with opened(sys.argv[1]) as engine:
            migrate(engine)
    """
    processes = [
        subprocess.Popen([sys.executable, "-c", program, new_uri], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with opened(new_uri) as engine:
        assert is_current(engine)


def test_readiness_tells_of_a_schema_behind(settings: Settings, app: object, services: Services) -> None:
    client = app.test_client()  # type: ignore[attr-defined]
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200
    with services.engine.begin() as connection:
        current = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    try:
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
    finally:
        with services.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{current}'")


def test_a_copy_has_every_row_and_goes_on(services: Services, world: World, new_uri: str) -> None:
    with opened(new_uri) as new:
        with pytest.raises(Refusal, match="another schema"):
            copy_database(new, services.engine)
        assert copy_database(services.engine, new) > 20
        with services.engine.connect() as before, new.connect() as after:
            for table in Base.metadata.sorted_tables:
                rows = [sorted(map(repr, each.execute(select(table)))) for each in (before, after)]
                assert rows[0] == rows[1], table.name
        copied = replace(services, engine=new)
        with copied.session() as session:
            assert trail.check(session, everything=True) is None
            # New rows do not collide with copied ids, and the audit trail goes on.
            add_user(session, copied, "newcomer")
            assert trail.check(session, everything=True) is None
        with pytest.raises(Refusal, match="in use"):
            copy_database(services.engine, new)
