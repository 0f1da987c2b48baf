"""Read plain numbers by their class as the rules read each of them."""

import hashlib
import hmac

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowetl.identifiers import Form, Numbering
from flowetl.plainnumbers import PlainNumbers
from flowetl.pseudonyms import LABELS, Pseudonymiser, Reading, Spelling, _reader

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


def test_a_long_key_is_hashed_as_the_standard_says() -> None:
    for key in (b"k" * 32, b"k" * 64, b"k" * 65, b"k" * 200):
        found = Pseudonymiser(key).column("imsi", pa.chunked_array([["429011234567801"]]))
        wanted = hmac.new(key, b"imsi:429011234567801", hashlib.sha256).hexdigest()
        assert found.row_texts().to_pylist() == [wanted]
