"""Find the places of many numbers as a dictionary does."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowetl.slots import NOWHERE, Slots

#: Few numbers and neighbours, which want the same slots; and the ends of 64 bits.
numbers = st.integers(-20, 20) | st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(numbers, max_size=30), max_size=8), st.lists(numbers, max_size=30))
def test_as_a_dictionary(blocks: list[list[int]], others: list[int]) -> None:
    slots, wanted = Slots(), dict[int, int]()
    slots._empty(2)
    for block in blocks:
        new = [number for number in dict.fromkeys(block) if number not in wanted]
        places = range(len(wanted), len(wanted) + len(new))
        slots.add(np.array(new, np.int64), np.array(places, np.int64))
        wanted |= zip(new, places, strict=True)
    asked = [*wanted, *others]
    assert slots.find(np.array(asked, np.int64)).tolist() == [wanted.get(n, NOWHERE) for n in asked]
    assert dict(zip(*(array.tolist() for array in slots.items()), strict=True)) == wanted
    assert len(slots) == len(wanted)


def test_a_million_numbers_in_a_row() -> None:
    slots = Slots()
    many = np.arange(1_000_000, dtype=np.int64) * 10_000_000 + 9_800_000_000
    for part in np.array_split(np.arange(len(many)), 7):
        slots.add(many[part], part)
    assert (slots.find(many) == np.arange(len(many))).all()
    assert (slots.find(many + 1) == NOWHERE).all()
    assert slots.nbytes <= 48 * len(many)
