"""Files in which each field of a record has its places in the line."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowetl.formats import FileFormat, Place
from flowetl.lines import Block, LineReader, RawBatch, Reject, Words


class FixedReader(LineReader):
    """Read lines by ``places``, which are in the order of the fields."""

    def __init__(
        self,
        path: Path,
        file_format: FileFormat,
        fields: tuple[str, ...],
        places: tuple[Place, ...],
        *,
        only: Words,
        skip: Words,
    ) -> None:
        super().__init__(path, file_format, fields, only=only, skip=skip)
        self.places = places

    def _begin(self, block: bytes, line: int) -> tuple[bytes, int]:
        """A header says nothing that the places do not say."""
        if not self._format.header:
            return block, line
        return block.partition(b"\n")[2], line + 1

    def _batch(self, block: Block) -> RawBatch:
        lines, rejects = self._decode(block)
        filled = self._records(lines)
        numbers = np.arange(block.first, block.first + len(lines), dtype=np.int64)
        # Programs that write such files often cut the blanks at the end of a line off: a field that begins
        # behind it is empty, and a line that ends before half of its fields begin is none.
        least = sorted(place.from_ for place in self.places)[len(self.places) // 2]
        short = pc.and_(filled, pc.less(pc.utf8_length(lines), least))
        for row in np.flatnonzero(pc.fill_null(short, False)):
            rejects.append(Reject(int(numbers[row]), "wrong_number_of_fields", lines[int(row)].as_py()))
        taken = pc.and_(filled, pc.invert(pc.fill_null(short, False)))
        lines = lines.filter(taken)
        columns = [
            self._finished(pc.utf8_slice_codeunits(lines, place.from_ - 1, place.to)) for place in self.places
        ]
        kept = numbers[np.asarray(taken)]
        return self._wanted(RawBatch(pa.table(columns, list(self._fields)), kept, block.line, rejects))
