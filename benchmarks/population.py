"""Make the people of each district, which the synthetic country does not tell."""

from __future__ import annotations

from benchmarks.country import Country

TABLE = "geography.population"

_STATEMENTS = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (pcod TEXT, population BIGINT)",
    f"TRUNCATE {TABLE}",
    f"INSERT INTO {TABLE} SELECT admin3pcod, 10000 + 1000 * row_number() OVER (ORDER BY admin3pcod)"
    " FROM geography.admin3",
    f"SELECT etl.allow_unit_table('{TABLE}')",
)


def fill(country: Country) -> None:
    """Give the database a table of weights, another number for each district."""
    connection = country.connect()
    with connection.cursor() as cursor:
        for statement in _STATEMENTS:
            cursor.execute(statement)
    connection.close()
