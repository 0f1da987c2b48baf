"""Make the next block while another is worked on."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

Block = TypeVar("Block")


def ahead(blocks: Iterator[Block]) -> Generator[Block, None, None]:
    """Yield blocks while a thread makes the next one.

    Closing it waits for that thread.
    """
    following = partial(next, blocks, None)
    with ThreadPoolExecutor(1, "ahead") as thread:
        coming = thread.submit(following)
        while (block := coming.result()) is not None:
            coming = thread.submit(following)
            yield block
