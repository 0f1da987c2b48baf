"""Check which spellings are one number and which are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowetl.identifiers import NO_NUMBER, Numbering, normalise_imei, normalise_imsi, normalise_number, shape

NEPAL = Numbering("977")
EXACT = Numbering("977", "0", (8, 10))


@pytest.mark.parametrize("numbering", [NEPAL, EXACT])
@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("9779812345601", "9779812345601"),
        ("+977 981-2345601", "9779812345601"),
        ("+977 (0)981-2345601", "9779812345601"),
        ("+977 981.234.56.01", "9779812345601"),
        ("009779812345601", "9779812345601"),
        ("09812345601", "9779812345601"),
        ("(0981) 2345601", "9779812345601"),
        ("  9812345601 ", "9779812345601"),
        ("9812345601\N{NO-BREAK SPACE}", "9779812345601"),
        ("tel:+977-981-2345601;phone-context=np", "9779812345601"),
        ("SIP:09812345601@operator.example;user=phone", "9779812345601"),
        ("447700900123", "447700900123"),
        ("+447700900123", "447700900123"),
        *[
            (text, NO_NUMBER)
            for text in ("1415", "0", "000000000", "MyBank", "anonymous", "unknown", "restricted", "-", "", "*100#")
        ],
        *[(text, NO_NUMBER) for text in ("#31#9812345601", "*67", "sip:anonymous@anonymous.invalid", "tel:unknown")],
        *[
            (text, None)
            for text in (
                "9812345601.0", "9812345601.00", "9812345601,0", "9.812345601E9", "9.812345601e+09", "9812345601e0",
                "9,81E+09", "98123456010e-1", "9.812.345.601.0", "9779812345601F", "9812345601-1", "-9812345601", "8997701234567890123",
                "+44 (0)7700 900123", "981(0)2345601", "(9812345601", "9812345601x2", "\u0663\u0664\u0665\u0666\u0667\u0668\u0669", "0x2468ACE0",
            )
        ],
    ],
)  # fmt: skip
def test_numbers_in_international_form(numbering: Numbering, raw: str, normal: str | None) -> None:
    assert normalise_number(raw, numbering) == normal


@pytest.mark.parametrize(
    "raw", ["98123456011", "981234560", "97798123456011", "9770981234560", "0981234560", "4123456"]
)
def test_a_number_with_too_many_or_too_few_digits_for_its_country_is_refused(raw: str) -> None:
    if raw == "98123456011":
        # Eleven digits may be another country's, whose code stands in front.
        assert normalise_number(raw, EXACT) == raw
    else:
        assert normalise_number(raw, EXACT) is None


SPELLINGS = st.sampled_from(
    ["{n}", "0{n}", "977{n}", "00977{n}", "+977{n}", "tel:+977{n}", "sip:{n}@x.example", "+977(0){n}"]
)


@given(
    st.from_regex(r"9[78][0-9]{8}", fullmatch=True),
    SPELLINGS,
    st.lists(st.integers(1, 8), max_size=3),
    st.sampled_from(" -"),
)
def test_every_spelling_of_a_number_is_one_person(
    number: str, spelling: str, cuts: list[int], separator: str
) -> None:
    written = number
    for cut in sorted(set(cuts), reverse=True):
        written = written[:cut] + separator + written[cut:]
    assert normalise_number(spelling.format(n=written), EXACT) == f"977{number}"


@given(
    st.from_regex(r"9[78][0-9]{8}", fullmatch=True),
    st.sampled_from(["{n}", "0{n}", "977{n}", "+977{n}"]),
    st.text("0123456789.,eE+-F()x/ ", max_size=4),
    st.text("0123456789.,eE+-F()x/ ", max_size=4),
)
def test_what_is_written_around_a_number_never_makes_another_person_of_its_country(
    number: str, spelling: str, before: str, after: str
) -> None:
    written = before + spelling.format(n=number) + after
    read = normalise_number(written, EXACT)
    digits = "".join(filter(str.isdigit, written))
    # Other digits mean another number; added separators or zeros of a fraction do not.
    if digits.removesuffix("0").removesuffix("0") in (number, f"0{number}", f"977{number}") and "." in after:
        assert read in (f"977{number}", None)
    if not any(map(str.isdigit, before + after)):
        assert read in (f"977{number}", None)


@pytest.mark.parametrize(
    ("numbering", "one_subscriber"),
    [
        # Mobile numbers of India begin with 91 as well, and so does India's calling code.
        (Numbering("91", "0", (10,)), ("9123456789", "09123456789", "919123456789", "+919123456789")),
        (Numbering("86", "0", (11,)), ("86123456789", "086123456789", "8686123456789")),
        # Italy and the Ivory Coast have no trunk prefix: the zero is part of the number.
        (Numbering("39", "", (9, 10)), ("3912345678", "393912345678", "00393912345678")),
        (Numbering("225", "", (10,)), ("0712345678", "2250712345678", "+225 07 12 34 56 78")),
        (Numbering("7", "8", (10,)), ("9123456789", "89123456789", "79123456789", "+7 (8) 9123456789")),
    ],
)
def test_the_length_tells_a_national_number_from_an_international_one(numbering, one_subscriber) -> None:
    assert len({normalise_number(raw, numbering) for raw in one_subscriber}) == 1
    assert normalise_number(one_subscriber[0], numbering)
    assert normalise_number("447700900123", numbering) == "447700900123"


def test_no_trunk_prefix_leaves_the_zero_in_its_place() -> None:
    assert normalise_number("0712345678", Numbering("225", "")) == "2250712345678"
    assert normalise_number("0712345678", Numbering("225")) == "225712345678"


def test_a_source_may_write_national_or_international_numbers_only() -> None:
    assert normalise_number("9771234567", NEPAL, "national") == "9779771234567"
    assert normalise_number("9771234567", NEPAL, "e164") == "9771234567"
    assert normalise_number("447700900123", EXACT, "national") is None


def test_devices_and_sims() -> None:
    assert {normalise_imei(raw) for raw in ("35123456789010", "351234567890107", "3512345678901099")} == {
        "35123456789010"
    }
    assert [normalise_imei(raw) for raw in ("3512345678901", "0", "0" * 15, "A1000012345678")] == [None] * 4
    assert normalise_imei("12345678901237") == "01234567890123"
    assert normalise_imsi("429011234567801") == "429011234567801"
    assert normalise_imsi("4290112345678") == "4290112345678"
    assert [normalise_imsi(raw) for raw in ("42901123456780x", "429011234567", "0" * 15)] == [None] * 3


def test_the_shape_of_a_text_says_nothing_of_what_it_holds() -> None:
    assert shape("9812345601.0") == "10 digits, '.', 1 digit"
    assert shape("+9.8E 7") == "'+', 1 digit, '.', 1 digit, 1 letter, a blank, 1 digit"
