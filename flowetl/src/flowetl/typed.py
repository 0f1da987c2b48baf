"""Make batches of records whose columns had types where they came from."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowetl.lines import RawBatch, wanted
from flowetl.source import Source


def typed_batch(columns: Sequence[pa.Array], source: Source, first: int) -> RawBatch:
    """Return records of the source's fields as text, numbered from ``first``."""
    given = source.format
    nulls = pa.array(given.nulls, pa.string())
    texts = []
    for column in columns:
        text = pc.utf8_trim_whitespace(column) if given.strip else column
        texts.append(pc.if_else(pc.is_in(text, nulls), None, text))
    table = pa.table(texts, list(source.fields))

    def record(number: int) -> str:
        return "\x1f".join(str(column[number - first]) for column in table.columns)

    numbers = np.arange(first, first + table.num_rows, dtype=np.int64)
    kept, passed = wanted(table, source.only, source.skip)
    return RawBatch(table.filter(kept), numbers[np.asarray(kept)], record, [], passed)
