"""Count a day's events by cell and hour, with 64 bits of who made them.

Questions by hour or day read these counts instead of the events. They are made from the day's columnar file, so
that both always agree.
"""

from pathlib import Path

import duckdb

from flowetl.errors import DataFault
from flowetl.mapped import literal
from flowetl.spill import spill_folder

MEMORY_LIMIT = "192MB"


def write_tally(events: Path, path: Path) -> None:
    """Write the tally of a day's columnar file as Parquet.

    Columns are ``cell``, null for events without one; ``local_time``, the start of an hour on the wall clock;
    ``events``, their number; and ``bits``, in which each subscriber sets the bit that the last six bits of its key
    number.

    Raises
    ------
    DataFault
        When the tally does not count all events.
    """
    day, tally = (f"read_parquet({literal(str(file))})" for file in (events, path))
    with spill_folder() as spill:
        # Groups are few, and threads would each keep their own.
        config: dict[str, str | bool | int | float | list[str]]
        config = {"memory_limit": MEMORY_LIMIT, "temp_directory": spill, "threads": 1}
        with duckdb.connect(config=config) as connection:
            connection.execute("SET enable_progress_bar = false")
            connection.execute(
                # Sorted by time, which then takes no space. Not every engine reads unsigned integers.
                "COPY (SELECT cell, local_time, events, bits::BIT::BIGINT AS bits FROM ("  # noqa: S608 - quoted paths
                "SELECT cell, make_timestamp(epoch_us(local_time) // 3600000000 * 3600000000) AS local_time, "
                "count(*)::INTEGER AS events, bit_or(1::UBIGINT << (subscriber & 63)::UBIGINT) AS bits "
                f"FROM {day} GROUP BY ALL) ORDER BY local_time, cell) TO {literal(str(path))} "
                "(FORMAT parquet, COMPRESSION lz4_raw)"
            )
            counts = f"SELECT (SELECT sum(events) FROM {tally}), (SELECT count(*) FROM {day})"  # noqa: S608 - quoted paths
            counted, rows = connection.execute(counts).fetchone() or (None, None)
    if (counted or 0) != rows:
        raise DataFault(f"the tally counts {counted} of {rows} events; the day was not written")
