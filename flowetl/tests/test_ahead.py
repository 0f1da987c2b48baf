"""Make blocks one ahead, and end with the one that is being made."""

from collections.abc import Iterator
from contextlib import closing

from flowetl.ahead import ahead


def test_one_block_is_made_ahead_of_the_one_in_use() -> None:
    made = []

    def blocks() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    with closing(ahead(blocks())) as found:
        assert next(found) == 0
    assert made == [0, 1]
    assert list(ahead(blocks())) == [0, 1, 2, 3, 4]
