"""Check the limits of pseudonyms: keys, absent numbers, spellings, device models."""

import hashlib
import hmac

import numpy as np
import pyarrow as pa
import pytest

from flowetl import hashing, pseudonyms
from flowetl.digests import Digests
from flowetl.errors import DataFault
from flowetl.identifiers import NO_NUMBER, Numbering
from flowetl.known import Known, New, Pseudonyms, Used
from flowetl.pseudonyms import Pseudonymiser, Reading, Spelling, UpstreamPseudonyms
from flowsettings.lookup import Unusable

KEY = bytes(range(32))
HEXADECIMAL = "05405135639dac4945ee8ce31a67c8ff45b1cc9abf553f2a173b6378acfe0ac9"


def column(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.large_string())])


def texts(found: Pseudonyms) -> list[str | None]:
    return found.row_texts().to_pylist()


def sorted_texts(kept: Used) -> list[str]:
    kept.sort()
    return Digests.unpacked(kept.packed()).texts().to_pylist()


def keyed(text: str) -> str:
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("secret", ["0f" * 31, "k" * 31])
def test_a_key_of_fewer_than_32_bytes_is_refused(secret: str) -> None:
    with pytest.raises(Unusable, match=r"256 bits or more, .* and has 248 bits"):
        pseudonyms.parse_key(secret)


def test_a_key_is_hexadecimal_or_text() -> None:
    assert pseudonyms.parse_key(HEXADECIMAL) == bytes.fromhex(HEXADECIMAL)
    text = "a sentence of thirty-two letters or more"
    assert pseudonyms.parse_key(text) == text.encode()
    assert pseudonyms.parse_key(KEY) == KEY


@pytest.mark.parametrize("secret", ["0" * 64, "5a" * 32, bytes(range(32)).hex(), "password" * 5, "k" * 32])
def test_a_key_that_repeats_itself_or_counts_is_refused(secret: str) -> None:
    with pytest.raises(Unusable, match="at random"):
        pseudonyms.parse_key(secret)


def test_who_says_that_there_is_no_number_is_nobody_and_not_unread() -> None:
    found = Pseudonymiser(KEY).column(
        "msisdn", column("unknown", None, "bad1#x1", "+977981234560x", "9812345601")
    )
    assert found.row_says_nobody().to_pylist() == [True, False, True, False, False]
    assert [key is None for key in found.row_keys().to_pylist()] == [True, True, True, True, False]
    assert found.row_leading_bits().to_pylist()[:4] == [0, 0, 0, 0]
    assert texts(found)[:4] == [None] * 4
    assert len(found.known) == 3
    assert len(Known()) == 2


def test_what_did_not_occur_for_the_longest_time_is_forgotten_first() -> None:
    made: list[list[str]] = []

    def make(values: pa.Array) -> New:
        texts = values.to_pylist()
        made.append(texts)
        numbers = [int(text) for text in texts if text.isdigit()]
        exists, nobody = np.array([t.isdigit() for t in texts]), np.array([t == "x" for t in texts])
        return New(
            exists, nobody, Digests.of_texts([f"{n % 10}" * 64 for n in numbers]), np.array(numbers, np.int64)
        )

    def look(known: Known, *values: str) -> None:
        found = Pseudonyms(known, known.places(pa.array(values, pa.large_string()), make))
        assert found.row_keys().to_pylist() == [int(v) if v.isdigit() else None for v in values]
        assert found.row_says_nobody().to_pylist() == [value == "x" for value in values]
        assert texts(found) == [v[-1] * 64 if v.isdigit() else None for v in values]

    known = Known()
    # The last has too many digits to be looked up as a number.
    look(known, "1", "2", "x", "y", "9" * 18)
    known.begin_day()
    look(known, "3", "x", "2", "9" * 18)
    assert len(known) == 6
    younger = known.younger(3)
    assert younger.nbytes <= known.nbytes
    assert sorted(younger.keys.tolist()) == [0, 0, 2, 3, int("9" * 18)]
    made.clear()
    look(younger, "y", "3", "2", "1", "x", "9" * 18)
    # Those who are nobody cost nothing to read again.
    assert made == [["y", "1", "x"]]
    look(known, "y", "3", "2", "1", "x")
    assert len(made) == 1


def test_a_new_day_begins_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Pseudonymiser(KEY)
    numbers = column(*(str(9_812_000_000 + number) for number in range(20_000)))
    known = hasher.column("msisdn", numbers).known
    hasher.begin_day(1)
    assert hasher.column("msisdn", numbers).known is known
    budget = known.nbytes // 2
    monkeypatch.setattr(pseudonyms, "REMEMBERED_BYTES", budget)
    hasher.begin_day(1)
    assert 0 < hasher.column("msisdn", column()).known.nbytes <= budget
    assert texts(hasher.column("msisdn", numbers)) == [keyed(f"msisdn:{n}") for n in numbers.to_pylist()]


def test_those_of_the_last_day_are_kept_before_those_of_the_day_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasher = Pseudonymiser(KEY)
    earlier, later = (
        [str(begin + number) for number in range(5_000)] for begin in (9_812_000_000, 9_813_000_000)
    )
    hasher.column("msisdn", column(*later, *earlier))
    hasher.begin_day(1)
    found = hasher.column("msisdn", column(*later))
    monkeypatch.setattr(pseudonyms, "REMEMBERED_BYTES", found.known.nbytes - 1)
    monkeypatch.setattr(pseudonyms, "_KEPT_SHARE", 0.4)
    hasher.begin_day(1)
    kept = set(hasher.column("msisdn", column()).known.keys.tolist()) - {0}
    assert len(kept) > 1_000
    assert kept <= set(found.row_keys().to_pylist())


def test_the_threads_of_a_day_hash_its_identifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Pseudonymiser(KEY)
    hasher.begin_day(4)
    numbers = [str(9_812_000_000 + number) for number in range(300)]
    assert texts(hasher.column("msisdn", column(*numbers))) == [keyed(f"msisdn:{text}") for text in numbers]
    assert hashing._memory().sql("SELECT current_setting('threads')").fetchall() == [(4,)]


def test_columns_that_are_read_alike_remember_together() -> None:
    same = Pseudonymiser(KEY)
    assert (
        same.column("msisdn", column("9812345601")).known is same.column("msisdn_counterpart", column()).known
    )
    assert same.column("imsi", column()).known is not same.column("imei", column()).known
    other = Pseudonymiser(KEY, Reading(counterpart=Spelling("text")))
    assert other.column("msisdn", column()).known is not other.column("msisdn_counterpart", column()).known


def test_what_an_identifier_must_look_like() -> None:
    reading = Reading(subscriber=Spelling("text", "[a-z]+"), counterpart=Spelling("imsi"))
    assert reading.expected("msisdn") == "text that matches '[a-z]+'"
    assert reading.expected("msisdn_counterpart") == "an IMSI of 13 to 15 digits"
    assert Reading(subscriber=Spelling("text")).expected("msisdn") == "text"
    assert Reading().expected("msisdn") == "a number of 7 to 15 digits"
    assert Reading(Numbering("977")).expected("msisdn") == "a number of 7 to 15 digits"
    assert Reading(Numbering("", None, (8,))).expected("msisdn") == "a number of 7 to 15 digits"
    assert Reading(Numbering("977", "0", (8, 10))).expected("msisdn") == (
        "a number of 8 or 10 digits, or of 977 and these, or of another country"
    )


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("msisdn", " ab ", "text:ab"),
        ("msisdn", "", None),
        ("msisdn", "   ", None),
        ("msisdn", "a", "text:a"),
        ("msisdn", "a" * 200, "text:" + "a" * 200),
        ("msisdn", "a" * 201, None),
        ("msisdn_counterpart", "429011234567801", "imsi:429011234567801"),
        ("msisdn_counterpart", "42901", None),
        ("imsi", "429011234567801", "429011234567801"),
        ("imsi", "text", None),
        ("imei", "351234567890107", "35123456789010"),
    ],
)
def test_each_column_is_read_in_its_form(name: str, value: str, normal: str | None) -> None:
    reading = Reading(subscriber=Spelling("text"), counterpart=Spelling("imsi"))
    assert reading.normal(name, value) == normal


def test_each_label_is_hashed_apart_and_a_leading_zero_counts() -> None:
    hasher = Pseudonymiser(KEY)
    assert texts(hasher.column("imei", column("351234567890107"))) == [keyed("imei:35123456789010")]
    assert texts(hasher.column("imsi", column("429011234567801"))) == [keyed("imsi:429011234567801")]
    numbers = ["7" * 7, "0" + "7" * 7]
    assert texts(hasher.column("msisdn", column(*numbers))) == [keyed(f"msisdn:{text}") for text in numbers]


def test_the_counterpart_has_a_spelling_of_its_own() -> None:
    reading = Reading(counterpart=Spelling("text"))
    assert reading.normal("msisdn_counterpart", " ab ") == "text:ab"
    assert reading.normal("msisdn", "ab1") is None
    assert Reading(subscriber=Spelling("text")).normal("msisdn_counterpart", "ab1") is None
    assert Spelling() == ("number", "")


def test_a_filler_is_cut_off_in_either_case_and_is_none_without_being_named() -> None:
    filled = Reading(filler="f")
    assert filled.normal("imsi", "429011234567801FfF ") == "429011234567801"
    assert filled.normal("msisdn", "9812345601F") == "9812345601"
    assert Reading().normal("imsi", "429011234567801F") is None
    assert Reading().normal("msisdn", "*123#") == NO_NUMBER


@pytest.mark.parametrize("raw", ["12345", "+" + "1" * 17, "(123) 45-67.8", "1" * 17])
def test_upstream_texts_that_look_raw_are_refused(raw: str) -> None:
    with pytest.raises(DataFault, match="look like raw identifiers"):
        UpstreamPseudonyms(KEY).column("msisdn", column(raw))


def test_upstream_pseudonyms_have_32_to_64_hexadecimal_characters() -> None:
    given = ["a" * 31, "a" * 32, "A" * 64, "a" * 65, "g" * 32, "1234", "1" * 18, "++12345", "1" * 32]
    found = UpstreamPseudonyms(KEY).column("msisdn", column(*given))
    assert texts(found) == [None, "a" * 32, "a" * 64, None, None, None, None, None, "1" * 32]


def test_a_refused_line_and_a_key_have_their_fingerprints() -> None:
    assert Pseudonymiser(KEY).line_hash("a,b") == keyed("line:a,b")
    assert pseudonyms.key_id("epoch 1", KEY) == f"epoch 1:{keyed('fingerprint')[:12]}"


@pytest.mark.parametrize(
    ("raw", "model"),
    [
        ("3" * 14, "33333333"),
        ("3" * 15, "33333333"),
        ("3" * 16, "33333333"),
        ("3" * 13, None),
        ("3" * 17, None),
        ("1" * 15, "11111111"),
        ("1" * 16, "11111111"),
        ("1" * 14, None),
        ("0" * 14, None),
        ("0" * 16, None),
        ("0" * 13 + "1", "00000000"),
        ("(35) 123456.789010-7", "35123456"),
        ("35123456789010F", None),
        ("x3512345678901", None),
        ("35123456789010x", None),
        ("12345678901237", "01234567"),
        ("x12345678901237", None),
        ("12345678901237x", None),
    ],
)
def test_the_model_is_of_a_device_that_can_be_read(raw: str, model: str | None) -> None:
    # Beside one that is looked at closely, and beside none.
    assert pseudonyms.tac(column(raw)).to_pylist() == [model]
    assert pseudonyms.tac(column(raw, "12345678901237", None)).to_pylist() == [model, "01234567", None]


def test_the_model_of_a_filled_identity() -> None:
    filled = column("35123456789010Ff", "35123456789010", "12345678901237F")
    assert pseudonyms.tac(filled, "f").to_pylist() == ["35123456", "35123456", "01234567"]


def test_texts_are_kept_from_block_to_block_and_only_those_that_were_used() -> None:
    hasher, kept = Pseudonymiser(KEY), Used()
    assert sorted_texts(kept) == []
    numbers = [str(9_812_345_600 + number) for number in range(40)]
    hasher.column("msisdn", column("9812000000"))
    for begin in range(0, 40, 10):
        kept.add(hasher.column("msisdn", column(*numbers[begin : begin + 10], None, "unknown")))
        # The day's texts stay, whatever the next day forgets.
        hasher._known["msisdn"] = {}
    behind = sorted_texts(kept)
    assert sorted(behind) == sorted(keyed(f"msisdn:{number}") for number in numbers)
    assert kept.keys.tolist() == sorted(kept.keys.tolist())
    assert sorted_texts(kept) == behind
    assert not kept.ambiguous
