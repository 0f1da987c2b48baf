"""Load mobile money by day and by schedule, as events are."""

import datetime as dt
import json
import os
import shutil
from pathlib import Path

import pytest

from flowetl import hooks, retention
from flowetl.errors import Busy, ConfigurationError, DataFault, NotReady
from flowetl.flows import flow_of, load_missing_money
from flowetl.moneydays import load_money_day, missing_money_days
from flowetl.records import day_lock

from .test_mobilemoney import GOLDEN, STORED
from .test_mobilemoney import folder as delivered

DESCRIPTION = """
name: money
mobile_money: calls
path: money/{{date:%Y%m%d}}
schedule: "0 0 * * *"
start: {start}
stability: {{pause: 0}}
wait: {{timeout: 0, poll: 0.1}}
"""
folder = delivered


@pytest.fixture
def money(operator, folder: Path):
    """Return a source of mobile money whose first day has come."""
    describe(operator)
    deliver(operator, folder)
    return operator.deployment.money_sources()["money"]


def describe(operator, start: object = "2016-01-01", more: str = "") -> None:
    path = operator.deployment.sources_folder / "money.yml"
    path.write_text(DESCRIPTION.format(start=start) + more)


def deliver(operator, folder: Path, day: dt.date | None = None) -> Path:
    """Put the four files of a day, long written, into the landing folder."""
    day = day or operator.day
    place = operator.deployment.landing / "money" / f"{day:%Y%m%d}"
    shutil.copytree(folder, place)
    transactions = place / "transactions.csv"
    transactions.write_text(transactions.read_text().replace("2016-01-01", str(day)))
    for path in place.iterdir():
        os.utime(path, (1e9, 1e9))
    return place


def told(operator) -> dict[str, tuple[str, str | None]]:
    status = json.loads(operator.command("status", "--json").stdout)
    (entry,) = (entry for entry in status if entry["cdr_type"] == "dfs")
    return {day["date"]: (day["state"], day["reason"]) for day in entry["calendar"]}


def test_a_day_is_loaded_by_its_name_and_recorded(operator, money) -> None:
    assert (
        "money 2016-01-01: 2 transactions, 3 parties"
        in operator.command("run", "--source", "money", "--date", "2016-01-01").stdout
    )
    assert operator.rows(STORED) == GOLDEN
    record = "SELECT source, state, rows, rejects FROM etl.loads WHERE cdr_type = 'dfs' ORDER BY started"
    assert operator.rows(record) == [("money", "ingested", 2, 0)]
    load_money_day(operator.deployment, money, operator.day)
    assert operator.rows(record) == [("money", "superseded", 2, 0), ("money", "ingested", 2, 0)]
    # Analysts are told of days of events only.
    assert operator.rows("SELECT * FROM etl.available_dates") == []
    assert missing_money_days(operator.deployment, money, dt.date(2016, 1, 3)) == [
        dt.date(2016, 1, 2),
        dt.date(2016, 1, 3),
    ]


def test_a_transaction_of_another_day_is_refused_and_that_day_stays(operator, money, folder) -> None:
    load_money_day(operator.deployment, money, operator.day)
    day = operator.day + dt.timedelta(1)
    place = deliver(operator, folder, day)
    with (place / "transactions.csv").open("a") as file:
        file.write("late,2016-01-01 12:00:00,7,1,1,1,1\n")
    found = load_money_day(operator.deployment, money, day)
    assert (found.first, found.last, found.transactions) == (day, day, 2)
    assert found.refused == {"transactions: of another day than 2016-01-02": 1}
    assert operator.rows(STORED)[: len(GOLDEN)] == GOLDEN
    assert "of another day than 2016-01-02: 1" in operator.value(
        "SELECT note FROM etl.loads WHERE cdr_date = %s", day
    )
    wrong = deliver(operator, folder, day + dt.timedelta(1))
    for path in place.iterdir():
        shutil.copy(path, wrong)
    with pytest.raises(DataFault, match="no transaction of 2016-01-03 is good"):
        load_money_day(operator.deployment, money, day + dt.timedelta(1))
    assert operator.value("SELECT count(*) FROM dfs.transactions") == 4


def test_a_day_without_all_files_waits_and_status_says_which(operator, money, folder) -> None:
    today = dt.datetime.now(operator.deployment.zone).date()
    ago = {number: today - dt.timedelta(number) for number in range(1, 6)}
    describe(operator, ago[5])
    money = operator.deployment.money_sources()["money"]
    for number in (5, 4, 3):
        place = deliver(operator, folder, ago[number])
        if number == 4:
            (place / "parties.csv").unlink()
    load_money_day(operator.deployment, money, ago[5])
    with pytest.raises(NotReady, match=r"parties.csv of .* in the landing folder are not there"):
        load_money_day(operator.deployment, money, ago[4])
    operator.command("absent", "--cdr-type", "dfs", "--date", str(ago[2]), "--reason", "a holiday")
    states = told(operator)
    assert [states[str(ago[number])][0] for number in (5, 4, 3, 2, 1)] == [
        "loaded", "missing", "due", "absent", "missing",
    ]  # fmt: skip
    assert "transaction_types.csv, subscribers.csv" in states[str(ago[1])][1]
    with operator.deployment.connect() as connection, day_lock(connection, "dfs", ago[3]):
        with pytest.raises(Busy):
            load_money_day(operator.deployment, money, ago[3])
        assert told(operator)[str(ago[3])][0] == "due"


def test_a_scheduled_run_loads_what_has_come_and_tells_of_the_rest(
    operator, money, folder, monkeypatch
) -> None:
    today = dt.datetime.now(operator.deployment.zone).date()
    ago = {number: today - dt.timedelta(number) for number in range(1, 4)}
    describe(operator, ago[3])
    deliver(operator, folder, ago[3])
    alarms = []
    monkeypatch.setattr("flowetl.flows.create_table_artifact", lambda *_, **__: None)
    monkeypatch.setattr("flowetl.flows.load_one_money_day", _plain)
    monkeypatch.setattr(hooks, "tell", lambda hook, source, date, error: alarms.append((source.name, date)))
    with pytest.raises(Exception, match=f"{ago[1]}: the folder {ago[1]:%Y%m%d} with"):
        load_missing_money("money", None)
    assert alarms == [("money", ago[1])]
    assert operator.value("SELECT count(*) FROM dfs.transactions") == 2
    assert flow_of(operator.deployment.money_sources()["money"]).name == "load-money"
    assert [source.name for source in operator.deployment.all_sources()][-1] == "money"


def _plain(name: str, date: dt.date, wait: bool) -> int:
    from flowetl.deployment import Deployment

    deployment = Deployment.from_settings()
    return load_money_day(deployment, deployment.money_sources()[name], date, wait=wait).transactions


def test_old_days_and_those_who_opted_out_leave_no_transaction(operator, money, folder) -> None:
    today = dt.datetime.now(operator.deployment.zone).date()
    load_money_day(operator.deployment, money, operator.day)
    kept = today - dt.timedelta(1)
    deliver(operator, folder, kept)
    load_money_day(operator.deployment, money, kept)
    assert list(retention.retain(operator.deployment, 12)) == [("dfs", operator.day)]
    assert operator.rows("SELECT DISTINCT timestamp::date FROM dfs.transactions") == [(kept,)]
    assert missing_money_days(operator.deployment, money, operator.day) == []

    operator.environment["FLOWETL_OPT_OUT"] = str(operator.folder / "opt-out")
    (operator.folder / "opt-out").write_text("+977 984 1000002\n")
    assert f"dfs {kept}: 2 records removed" in operator.command("opt-out").stdout
    assert operator.value("SELECT count(*) FROM dfs.subscribers") == 1
    assert operator.value("SELECT count(*) FROM dfs.transactions_metadata") == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"mobile_money: calls": "mobile_money: money"},
            "mobile_money: no source 'money' of events; there are: calls",
        ),
        ({"{date:%Y%m%d}": "today"}, "'money/today' must hold {date}, and no star"),
        ({"{date:%Y%m%d}": "{date}/*.csv"}, "must hold {date}, and no star"),
        ({"0 0 * * *": "0 0 30 2 *"}, "'0 0 30 2 *' is not a cron expression: Bad day-of-month"),
        ({"0 0 * * *": "0 0 * * 9"}, "weekday 9 is not within 0 to 7"),
        ({"name: money": "name: calls"}, "name 'calls' is taken by another source"),
        (
            {"start: 2016-01-01": "start: 2016-01-01\nend: 2015-01-01"},
            "end 2015-01-01 is before start 2016-01-01",
        ),
        ({"stability:": "steady:"}, "steady: no such key; allowed: name, mobile_money"),
    ],
)
def test_a_wrong_description_is_refused_with_its_key(operator, wrong: dict[str, str], message: str) -> None:
    describe(operator)
    path = operator.deployment.sources_folder / "money.yml"
    text = path.read_text()
    for before, after in wrong.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        operator.deployment.money_sources()
    assert message in str(refused.value)
    assert str(refused.value).startswith("money.yml: ")


def test_two_sources_may_not_share_a_day(operator) -> None:
    describe(operator)
    path = operator.deployment.sources_folder / "other.yml"
    path.write_text(DESCRIPTION.format(start="2016-02-01").replace("name: money", "name: other"))
    with pytest.raises(ConfigurationError, match="other and money both load mobile money from 2016-02-01"):
        operator.deployment.money_sources()
    path.unlink()
    assert "good: money (mobile money of calls), 0 0 * * *" in operator.command("validate-config").stdout
    refused = operator.command("preview", "--source", "money", "--date", "2016-01-01", check=False)
    assert "no source 'money'" in refused.stderr
