"""Read plain numbers by their class as the rules read each of them."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowetl.identifiers import Form, Numbering
from flowetl.plainnumbers import PlainNumbers, as_numbers
from flowetl.pseudonyms import LABELS, Reading, Spelling, _reader

numberings = st.builds(
    Numbering,
    st.sampled_from(["", "1", "7", "39", "977", "225"]),
    st.sampled_from([None, "", "0", "8", "1", "00", "977"]),
    st.sampled_from([(), (10,), (8, 10), (9,), (7, 11)]),
)
forms: st.SearchStrategy[Form] = st.sampled_from(["number", "e164", "national", "imsi", "text"])
#: Few digits, so that beginnings repeat and all digits may be alike.
digits = st.text(st.sampled_from("0179"), min_size=0, max_size=19)
#: Beginnings that decide, before digits that do not.
numbers = st.builds(
    lambda begin, rest: begin + rest,
    st.sampled_from(["", "977", "9770", "0", "00", "8", "10", "39", "1"]),
    st.text(st.sampled_from("0123456789"), min_size=5, max_size=14),
)
alike = st.builds(lambda digit, count: digit * count, st.sampled_from("123456789"), st.integers(7, 17))
odd = st.sampled_from(
    ["", " 9841000001", "+9779841000001", "9841000001.0", "unknown", "٩٨٤١٠٠٠٠٠١", "12²34567"]
)


@settings(max_examples=400, deadline=None)
@given(
    st.builds(
        Reading,
        numberings,
        st.builds(Spelling, forms, st.sampled_from(["", "[0-9x]+1"])),
        st.builds(Spelling, forms, st.sampled_from(["", "[0-9x]+1"])),
        st.sampled_from(["", "F"]),
    ),
    st.sampled_from(sorted(LABELS)),
    st.lists(digits | numbers | alike | odd, min_size=1, max_size=30),
)
def test_many_are_read_as_each_is(reading: Reading, name: str, texts: list[str]) -> None:
    # A text that only begins as a number does must not decide for the number.
    texts = [*(f"{text[:-1]}x" for text in texts), *texts]
    found = _reader(reading, name)(pa.array(texts, pa.string()))
    assert found.to_pylist() == [reading.normal(name, text) for text in texts]


def test_of_equal_digits_no_rule_is_learnt() -> None:
    """Check a device whose digits are alike: which one was taken off cannot be seen."""
    texts = ["1" * 15, "101111111111112", "1" * 15, "1" * 16, "1011111111111134"]
    assert _reader(Reading(), "imei")(pa.array(texts, pa.string())).to_pylist() == [
        "1" * 14,
        "10111111111111",
        "1" * 14,
        "1" * 14,
        "10111111111111",
    ]


def test_the_rules_are_asked_once_for_a_class() -> None:
    asked = []

    def read(text: str) -> str:
        asked.append(text)
        return "977" + text

    found = PlainNumbers(read, 2, lambda _: False)
    normals = found.normals(pa.array(["9841", "9842", "9941", "98411"]))
    assert normals.to_pylist() == ["9779841", "9779842", "9779941", "97798411"]
    assert asked == ["9841", "9941", "98411"]


class Rules:
    """Rules that count how often they are asked."""

    def __init__(self, read: Callable[[str], str | None]) -> None:
        self.read = read
        self.asked: list[str] = []

    def __call__(self, text: str) -> str | None:
        self.asked.append(text)
        return self.read(text)


def nothing(text: str) -> bool:
    return False


def read_by(found: PlainNumbers, *texts: str) -> list[str | None]:
    return found.normals(pa.array(texts, pa.string())).to_pylist()


NEPAL = Reading(Numbering("977", "0", (10,)))
TEN = [str(digit) for digit in range(10)]


@pytest.mark.parametrize(
    ("reading", "name", "texts", "asked"),
    [
        # A SIM and a device are read by their length and first digit.
        (NEPAL, "imsi", [f"{first}2{second}0170000000{first}" for first in "123" for second in TEN], 3),
        (NEPAL, "imei", [f"{first}2{second}1234567890{first}7" for first in "123" for second in TEN], 3),
        # A number by one digit more than its calling code.
        (NEPAL, "msisdn", [f"977{fourth}{fifth}12345678" for fourth in "789" for fifth in TEN], 3),
        (NEPAL, "msisdn_counterpart", [f"98{third}{fourth}123456" for third in "12" for fourth in TEN], 20),
        # A device that may lack its first zero is read by all its digits, a SIM that looks like it is not.
        (NEPAL, "imei", [f"1{second}345678901234" for second in TEN], 10),
        (NEPAL, "imsi", [f"1{second}345678901234" for second in TEN], 1),
        # Behind two zeros, too, and not behind one.
        (NEPAL, "imsi", [f"00{third}34567890123" for third in TEN], 10),
        (NEPAL, "imsi", [f"0{second}034567890123" for second in TEN[1:]], 1),
        (NEPAL, "imsi", ["01000000000000", "02000000000000"], 1),
        # What cannot be read, or stands for nobody, is learnt as well.
        (NEPAL, "imsi", [f"1{second}345" for second in TEN], 1),
    ],
)
def test_the_rules_are_asked_as_often_as_digits_decide(
    reading: Reading, name: str, texts: list[str], asked: int
) -> None:
    rules = Rules(lambda text: reading.normal(name, text))
    leading = reading.deciding_digits(name)
    assert leading is not None
    found = PlainNumbers(rules, leading, lambda digits: reading.all_digits_decide(name, digits))
    assert read_by(found, *texts) == [reading.normal(name, text) for text in texts]
    assert len(set(rules.asked)) == asked


def test_what_is_learnt_of_one_block_serves_the_next() -> None:
    rules = Rules(str)
    found = PlainNumbers(rules, 1, nothing)
    for texts in (["123", "134"], ["145", "156"]):
        assert read_by(found, *texts) == texts
    assert rules.asked == ["123"]


def test_only_texts_are_asked_about_one_by_one() -> None:
    texts = Reading(subscriber=Spelling("text"))
    assert texts.deciding_digits("msisdn") is None
    assert texts.deciding_digits("msisdn_counterpart") == len("0") + 1
    assert texts.deciding_digits("imei") == 1


def test_a_class_is_given_up_after_a_hundred_that_do_not_tell() -> None:
    # Of equal digits it cannot be seen which was taken off.
    for silent, asked in ((99, 100), (100, 201)):
        rules = Rules(lambda text: text[:-1])
        texts = ["1" * 15] * silent + ["123456789012345"]
        assert read_by(PlainNumbers(rules, 1, nothing), *texts) == [text[:-1] for text in texts]
        assert len(rules.asked) == asked


def test_what_the_rules_say_of_every_digit_is_asked_of_every_number() -> None:
    def swapped(text: str) -> str:
        return text[1] + text[0] + text[2:]

    assert read_by(PlainNumbers(swapped, 1, nothing), "1234", "1334", "1434") == ["2134", "3134", "4134"]
    # The last that decides is taken off with those before it.
    rules = Rules(lambda text: text[2:])
    assert read_by(PlainNumbers(rules, 2, nothing), "1234", "1256", "1278") == ["34", "56", "78"]
    assert rules.asked == ["1234"]


def test_a_class_of_which_all_digits_decide_is_not_learnt_from_another_number() -> None:
    def even(text: str) -> str | None:
        return text if text[-1] in "02468" else None

    found = PlainNumbers(even, 1, lambda text: text.endswith("1"))
    assert read_by(found, "1231", "1232", "1233") == [None, "1232", None]


def test_numbers_shorter_than_what_decides_are_told_apart() -> None:
    def without_threes(text: str) -> str | None:
        return None if "3" in text else text

    found = PlainNumbers(without_threes, 2, nothing)
    assert read_by(found, "12", "13", "3", "1", "") == ["12", None, None, "1", ""]


def test_zeros_alone_do_not_decide_for_others() -> None:
    def without_zeros(text: str) -> str | None:
        return text if text.strip("0") else None

    assert read_by(PlainNumbers(without_zeros, 1, nothing), "00", "01", "02") == [None, "01", "02"]
    assert read_by(PlainNumbers(without_zeros, 2, nothing), "000", "90") == [None, "90"]


def test_a_number_keeps_its_zeros_behind_a_one() -> None:
    longest = "9" * 17
    digits = ["0", "7", "07", "007", longest]
    numbers = [10, 17, 107, 1007, 10**17 + int(longest)]
    assert as_numbers(pa.array(digits)).tolist() == numbers
    others = ["", "x", None, longest + "9", "٧", "+7", " 7"]
    assert as_numbers(pa.array(digits + others)).tolist() == numbers + [-1] * len(others)
    assert as_numbers(pa.array(["7", None])).tolist() == [17, -1]
