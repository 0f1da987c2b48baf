"""Count and cut blocks of lines."""

from collections.abc import Iterator

import numpy as np


def line_ends(data: bytes | memoryview) -> int:
    """Count line ends at once, because a search for each takes ten times as long."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))


def beyond(block: bytes, longest: int) -> int | None:
    """Where the first line of more than ``longest`` bytes begins, or None."""
    start = 0
    # Each step goes over as many lines as a longest one has bytes.
    while len(block) - start > longest:
        end = block.rfind(b"\n", start, start + longest + 1)
        if end < 0:
            return start
        start = end + 1
    return None


def without_last(blocks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """The blocks without the last lines of the file."""
    if not lines:
        yield from blocks
        return
    rest = b""
    for block in blocks:
        found = (rest + block).splitlines(keepends=True)
        if found[:-lines]:
            yield b"".join(found[:-lines])
        rest = b"".join(found[-lines:])
