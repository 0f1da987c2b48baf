"""Make mobile-money transactions, which the synthetic country lacks.

The rows are made in the database from a fixed seed.
"""

from __future__ import annotations

import datetime as dt

from benchmarks.country import START, Country

#: Of each subscriber in a day.
_RATE = 0.2

_STATEMENTS = (
    "TRUNCATE dfs.transactions_metadata, dfs.transactions, dfs.subscribers",
    "SELECT setseed(0.5)",
    "INSERT INTO dfs.subscribers (id, msisdn) SELECT n, md5(n::text) FROM generate_series(1, %(subscribers)s) AS n",
    """
    INSERT INTO dfs.transactions (id, amount, discount, fee, commission, timestamp)
    SELECT n, amount, 0, round(amount / 50, 2), round(amount / 100, 2), %(start)s::timestamp + random() * %(length)s
    FROM generate_series(1, %(transactions)s) AS n, LATERAL (SELECT round((n %% 9973)::numeric / 7, 2) AS amount) AS drawn
    """,
    """
    INSERT INTO dfs.transactions_metadata (transaction_id, subscriber_id, cell_id, cell_version, is_outgoing)
    SELECT transaction, person, id, version, outgoing
    FROM (
        SELECT n AS transaction, 1 + floor(random() * %(subscribers)s)::bigint AS person,
            1 + floor(random() * (SELECT count(*) FROM infrastructure.cells))::bigint AS place, outgoing
        FROM generate_series(1, %(transactions)s) AS n, (VALUES (true), (false)) AS side (outgoing)
    ) AS parties
    JOIN (
        SELECT id, version, row_number() OVER (ORDER BY id, version) AS place FROM infrastructure.cells
    ) AS places USING (place)
    """,
    "ANALYZE dfs.transactions_metadata, dfs.transactions, dfs.subscribers",
)


def fill(country: Country, subscribers: int) -> None:
    """Give the country's database the transactions of exactly so many subscribers."""
    values = {
        "subscribers": subscribers,
        "transactions": int(_RATE * subscribers * country.size.days),
        "start": START,
        "length": dt.timedelta(country.size.days),
    }
    connection = country.connect()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM dfs.transactions), (SELECT count(*) FROM dfs.subscribers)"
        )
        if cursor.fetchone() != (values["transactions"], subscribers):
            for statement in _STATEMENTS:
                cursor.execute(statement, values)
    connection.close()
