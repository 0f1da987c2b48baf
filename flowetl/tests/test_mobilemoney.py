"""Load mobile money: four files, joined and pseudonymised in memory."""

import datetime as dt
import gzip
import hashlib
import hmac
from pathlib import Path

import pytest

from flowetl.errors import Busy, DataFault, Held
from flowetl.geography import load_geography
from flowetl.mobilemoney import load_mobile_money

from .conftest import KEY

FILES = {
    "transaction_types.csv": "id,description,user_type_a,user_type_b\n7,send,customer,customer\n9,cash in,agent,customer\n",
    # An account's number may be a telephone number.
    "subscribers.csv": "id,msisdn\n9841000001,9841000001\nacc-2,+977 9841000002\n",
    "transactions.csv": (
        "id,time,type,amount,discount,fee,commission\n"
        "T-9841000001,2016-01-01 00:00:00,7,100.5,0,1.25,\n"
        "T2,2016-01-01T23:59:59,9,20,0,0,0.5\n"
    ),
    "parties.csv": (
        "transaction,subscriber,cell,outgoing\n"
        "T-9841000001,9841000001,c1,true\nT-9841000001,acc-2,c2,false\nT2,acc-2,c1,1\n"
    ),
}


@pytest.fixture
def folder(operator, tmp_path: Path) -> Path:
    geography = tmp_path / "geography"
    geography.mkdir()
    (geography / "cells.csv").write_text(
        "id,version,latitude,longitude,date_of_first_service,date_of_last_service\n"
        "c1,0,27.5,85.5,2010-01-01,2015-12-31\nc1,1,27.6,85.5,2016-01-01,\nc2,0,27.5,86.5,,\n"
    )
    load_geography(operator.deployment, geography)
    path = operator.deployment.sources_folder / "calls.yml"
    path.write_text(path.read_text() + 'identifiers: {calling_code: "977", national_lengths: [10]}\n')
    money = tmp_path / "money"
    money.mkdir()
    for name, content in FILES.items():
        (money / name).write_text(content)
    return money


def load(operator, folder: Path):
    return load_mobile_money(operator.deployment, operator.sources["calls"], folder)


def pseudonym(number: str) -> str:
    return hmac.new(bytes.fromhex(KEY), f"msisdn:{number}".encode(), hashlib.sha256).hexdigest()


STORED = (
    "SELECT timestamp AT TIME ZONE 'UTC', descr, amount::float, fee::float, commission::float, msisdn, cell_id, cell_version, "
    "is_outgoing FROM dfs.transactions JOIN dfs.transactions_metadata ON transactions.id = transaction_id "
    "JOIN dfs.subscribers ON subscribers.id = subscriber_id LEFT JOIN dfs.transaction_types ON transaction_types.id = transtype_id "
    "ORDER BY 1, is_outgoing DESC"
)
FIRST = (dt.datetime(2016, 1, 1), "send", 100.5, 1.25, None)
SECOND = (dt.datetime(2016, 1, 1, 23, 59, 59), "cash in", 20, 0, 0.5)
GOLDEN = [
    (*FIRST, pseudonym("9779841000001"), "c1", 1, True),
    (*FIRST, pseudonym("9779841000002"), "c2", 0, False),
    (*SECOND, pseudonym("9779841000002"), "c1", 1, True),
]


def test_four_files_become_transactions_of_pseudonyms(operator, folder) -> None:
    found = load(operator, folder)
    assert (found.transactions, found.parties, found.elsewhere) == (2, 3, 0)
    assert operator.rows(STORED) == GOLDEN
    everything = [
        operator.rows(f"SELECT * FROM dfs.{table}")
        for table in ("transactions", "subscribers", "transactions_metadata", "transaction_types")
    ]
    assert "9841000001" not in str(everything)


def test_a_delivery_replaces_its_days_and_no_others(operator, folder) -> None:
    load(operator, folder)
    assert operator.rows(STORED) == GOLDEN
    version = operator.value("SELECT version FROM etl.versions WHERE subject = 'mobile_money'")
    later = FILES["transactions.csv"].replace("2016-01-01", "2016-01-02")
    (folder / "transactions.csv").unlink()
    (folder / "transactions.csv.gz").write_bytes(gzip.compress(later.encode()))
    load(operator, folder)
    assert operator.value("SELECT version FROM etl.versions WHERE subject = 'mobile_money'") > version
    load(operator, folder)
    assert operator.rows("SELECT timestamp::date, count(*) FROM dfs.transactions GROUP BY 1 ORDER BY 1") == [
        (dt.date(2016, 1, 1), 2),
        (dt.date(2016, 1, 2), 2),
    ]
    assert operator.value("SELECT count(*) FROM dfs.subscribers") == 2


def test_what_cannot_be_stored_is_counted_by_reason(operator, folder) -> None:
    with (folder / "subscribers.csv").open("a") as file:
        file.write("acc-3,unknown\n")
    with (folder / "parties.csv").open("a") as file:
        file.write("T2,acc-3,c1,false\nT3,acc-2,c1,true\nT2,acc-2,,false\nT2,acc-2,c9,false\na,b\n")
    with (folder / "transactions.csv").open("a") as file:
        file.write("T4,yesterday,7,1,1,1,1\n")
    found = load(operator, folder)
    assert found.refused == {
        "transactions: no id or no time of the form 2016-01-31 23:59:59": 1,
        "parties: no subscriber of subscribers.csv whose number can be read": 1,
        "parties: no transaction of transactions.csv": 1,
        "parties: no cell": 1,
        "parties: wrong_number_of_fields": 1,
    }
    assert found.elsewhere == 1
    assert operator.rows(STORED) == GOLDEN


def test_a_delivery_that_is_wrong_changes_nothing(operator, folder, monkeypatch) -> None:
    load(operator, folder)
    parties = FILES["parties.csv"]
    (folder / "parties.csv").write_text(parties.replace("c1", "x1").replace("c2", "x2"))
    with pytest.raises(Held, match=r"only 0 of 3 parties are at a cell that is in the cell list"):
        load(operator, folder)
    (folder / "parties.csv").write_text(parties + "T9,acc-2,c1,true\n" * 30)
    with pytest.raises(DataFault, match=r"30 records are refused.*no transaction of transactions.csv 30"):
        load(operator, folder)
    (folder / "parties.csv").write_text(parties)
    (folder / "transactions.csv").write_text(FILES["transactions.csv"].replace("T2,", "T-9841000001,"))
    with pytest.raises(DataFault, match=r"transactions.csv: 1 ids occur twice") as error:
        load(operator, folder)
    assert "9841000001" not in str(error.value)
    (folder / "transactions.csv").unlink()
    with pytest.raises(
        DataFault, match=r"holds no transactions.csv; mobile money is transaction_types.csv, subscribers.csv"
    ):
        load(operator, folder)
    assert operator.rows(STORED) == GOLDEN


def test_two_loads_at_once_are_one_after_the_other(operator, folder) -> None:
    holder = operator.database.connect()
    try:
        holder.cursor().execute("SELECT pg_advisory_xact_lock(hashtextextended('flowetl mobile money', 0))")
        with pytest.raises(Busy):
            load(operator, folder)
    finally:
        holder.close()


def test_who_opted_out_is_no_party(operator, folder) -> None:
    numbers = operator.folder / "opt-out"
    numbers.write_text("9841000001\n")
    operator.environment["FLOWETL_OPT_OUT"] = str(numbers)
    done = operator.command("mobile-money", "--source", "calls", str(folder))
    assert done.stdout.startswith("2 transactions of 2016-01-01 to 2016-01-01, 2 parties")
    assert "refused: parties: no subscriber of subscribers.csv whose number can be read: 1" in done.stdout
    assert operator.rows(STORED) == GOLDEN[1:]


def test_the_clock_is_that_of_the_source(operator, folder) -> None:
    path = operator.deployment.sources_folder / "calls.yml"
    path.write_text(path.read_text() + "timezone: Asia/Kathmandu\n")
    load(operator, folder)
    assert operator.rows("SELECT min(timestamp) AT TIME ZONE 'UTC' FROM dfs.transactions") == [
        (dt.datetime(2015, 12, 31, 18, 15),)
    ]
