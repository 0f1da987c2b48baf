"""Load, ask, break and restore the running compose stack as an operator would."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docker.models.containers import Container
from guide import blocks, without_terminal
from operating import DAYS, answer, crash, residents

import flowclient

if TYPE_CHECKING:
    from installation import Site


def test_a_restarted_database_is_found_again(site: Site, loaded: flowclient.Connection) -> None:
    before = answer(loaded)
    crash(site.one("flowdb"))
    site.wait_until_well()
    assert answer(loaded).equals(before)
    assert answer(loaded, method="most-common")["value"].min() > 15


def test_three_workers_share_the_work(site: Site, loaded: flowclient.Connection) -> None:
    site.compose("up --detach --no-recreate --scale worker=3 worker")
    site.wait_until_well()
    assert len(site.containers("worker")) == 3
    queries = [residents(loaded, date=day, hours=(hour, 24)) for day in DAYS for hour in range(8)]
    for query in queries:
        query.run()
    assert all(len(query.get_result()) > 0 for query in queries)

    def computed(container: Container) -> int:
        return container.logs().decode().count('"event": "computed"')

    assert all(computed(each) > 0 for each in site.containers("worker"))
    site.compose("up --detach --no-recreate --scale worker=2 worker")
    site.until(lambda: len(site.containers("worker")) == 2, 60, lambda: "still three workers")


def test_a_killed_worker_loses_nothing(site: Site, loaded: flowclient.Connection) -> None:
    queries = [residents(loaded, date=day, hours=(0, hour)) for day in DAYS for hour in range(10, 24)]
    for query in queries:
        query.run()
    crash(site.containers("worker")[0])
    assert all(len(query.get_result()) > 0 for query in queries)
    site.wait_until_well()


def test_a_mistake_is_undone_by_a_restore_to_the_time_before(
    site: Site, loaded: flowclient.Connection
) -> None:
    before = answer(loaded)
    copy, restore = (
        each for each in blocks("maintenance.md", "Restore to a point in time") if "docker compose" in each
    )
    site.shell(copy)
    # A change after the copy, which only the kept log has.
    site.sql("CREATE TABLE infrastructure.later AS SELECT id FROM infrastructure.cells")
    moment = site.sql("SELECT clock_timestamp()")
    site.sql("DROP SCHEMA events CASCADE")
    restore = re.sub(r"(recovery_target_time = )'.*'", rf"\1'{moment}'", restore)
    site.shell(without_terminal(restore.replace("flowkit_", f"{site.stack}_")))
    site.wait_until_well()
    assert int(site.sql("SELECT count(*) FROM infrastructure.later")) > 0
    assert answer(loaded).equals(before)
    site.compose("run --rm -T migrate python -m flowdb check")


def test_a_back_up_is_restored_into_empty_volumes(site: Site, loaded: flowclient.Connection) -> None:
    before = answer(loaded)
    site.shell(site.guide("maintenance.md", "Back up"))
    site.compose("down --volumes --timeout 10")
    site.shell(site.guide("maintenance.md", "Restore"))
    site.start()
    # The proxy made another authority; analysts fetch its certificate.
    site.shell(site.guide("production.md", "TLS"))
    # The token and the users are those of the back-up; the results are computed again.
    restored = site.connect(loaded.token)
    site.until(lambda: _answers(restored), 60, lambda: "the API does not answer")
    assert answer(restored).equals(before)


def _answers(connection: flowclient.Connection) -> bool:
    try:
        return flowclient.get_available_dates(connection=connection)["calls"] == DAYS
    except flowclient.FlowclientConnectionError:
        return False
