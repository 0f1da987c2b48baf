"""Notice that a day's records are given to the caller instead of the served party."""

import duckdb

from flowetl.errors import DataFault
from flowetl.source import Source

SAMPLED_FROM = 200_000
"""Records of a day from which on one SIM, and one pair of parties, in sixteen is looked at."""
FEWEST = 10
"""Fewer SIMs or calls may be so by accident."""
SECONDS_APART = 60
"""How far the clocks of two switches may differ about one call."""

_CURE = (
    "mapping.msisdn is one party of the call, not the served one. Let the kind of record choose: "
    "{when: <field>, MOC: <caller>, MTC: <called>}; or say served: true if it is right as it is"
)

_SIMS = """
SELECT count(*), count(*) FILTER (WHERE NOT list_has_any(made, taken)) FROM (
    SELECT imsi, list(DISTINCT msisdn) FILTER (WHERE outgoing) AS made, list(DISTINCT msisdn) FILTER (WHERE NOT outgoing) AS taken
    FROM day WHERE imsi IS NOT NULL AND ({all} OR imsi % 16 = 0) GROUP BY imsi
) WHERE made IS NOT NULL AND taken IS NOT NULL
"""
_CALLS = """
WITH calls AS (
    SELECT msisdn AS served, msisdn_counterpart AS other, datetime, outgoing FROM day
    WHERE msisdn <> msisdn_counterpart AND ({all} OR xor(msisdn, msisdn_counterpart) % 16 = 0)
), made AS (SELECT * FROM calls WHERE outgoing), taken AS (SELECT * FROM calls WHERE NOT outgoing)
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM taken SEMI JOIN made
    ON made.served = taken.served AND made.other = taken.other AND {near}
), (SELECT count(*) FROM taken SEMI JOIN made ON made.served = taken.other AND made.other = taken.served AND {near})
""".replace(
    "{near}",
    f"made.datetime BETWEEN taken.datetime - to_seconds({SECONDS_APART}) AND taken.datetime + to_seconds({SECONDS_APART})",
)


def require_served_party(day: duckdb.DuckDBPyConnection, source: Source, rows: int, file_name: str) -> None:
    """Check that the records of the table ``day`` belong to their served party.

    An incoming call belongs to the called one. Where both parties of a call have a record, these two have opposite
    parties.

    Raises
    ------
    DataFault
        When most SIMs have one subscriber in outgoing records and another in incoming ones, or incoming calls have the
        parties of the outgoing record.
    """
    mapping = source.mapping
    if not {"outgoing", "msisdn_counterpart"} <= mapping.keys() or mapping["msisdn"].served:
        return
    whole = "true" if rows <= SAMPLED_FROM else "false"
    if "imsi" in mapping:
        ((sims, split),) = day.execute(_SIMS.replace("{all}", whole)).fetchall()
        if sims >= FEWEST and split * 2 > sims:
            raise DataFault(
                f"{file_name}: {split} of {sims} SIMs have one subscriber in outgoing records and another in incoming ones: "
                f"{_CURE}"
            )
    ((taken, alike, opposite),) = day.execute(_CALLS.replace("{all}", whole)).fetchall()
    if alike >= FEWEST and alike > 2 * opposite and alike * 20 > taken:
        raise DataFault(
            f"{file_name}: {alike} of {taken} incoming calls have the subscriber and the other party of the outgoing record of "
            f"that call: {_CURE}"
        )
