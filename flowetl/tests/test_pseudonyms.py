"""Pseudonyms: what they are, and which raw forms share one."""

import hashlib
import hmac

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowdb.keys import subscriber_key
from flowetl import pseudonyms
from flowetl.digests import Digests
from flowetl.errors import DataFault
from flowetl.hashing import FEW_TEXTS, MANY_THREADS, KeyedHash, key_sql
from flowetl.identifiers import Numbering
from flowetl.known import Pseudonyms, Used
from flowetl.pseudonyms import Pseudonymiser, Reading, Spelling, UpstreamPseudonyms
from flowsettings.lookup import Unusable

KEY = bytes(range(32))
NEPAL = Reading(Numbering("977"))


def column(values: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.large_string())])


def texts(found: Pseudonyms) -> list[str | None]:
    return found.row_texts().to_pylist()


def expected(label: str, normal: str) -> str:
    return hmac.new(KEY, f"{label}:{normal}".encode(), hashlib.sha256).hexdigest()


def test_a_pseudonym_is_a_keyed_hash_of_label_and_number() -> None:
    hasher = Pseudonymiser(KEY, NEPAL)
    found = hasher.column("msisdn", column(["9812345601", None, "bad#", "9812345601"]))
    mine = expected("msisdn", "9779812345601")
    assert texts(found) == [mine, None, None, mine]
    assert found.row_keys().to_pylist() == [subscriber_key(mine), None, None, subscriber_key(mine)]


def test_raw_forms_of_any_length_are_told_apart() -> None:
    hasher = Pseudonymiser(KEY)
    raw = [
        "9" * 15,
        "09" * 7,
        "7" * 7,
        "9" * 16,
        "9" * 18,
        "9" * 19,
        "0",
        "07",
        "9" * 7 + "a",
        "",
        "+" + "9" * 15,
    ]
    normals = [*raw[:3], *[None] * 7, "9" * 15]
    wanted = [normal and expected("msisdn", normal) for normal in normals]
    for _ in range(2):
        assert texts(hasher.column("msisdn", column(raw[::-1]))) == wanted[::-1]
        assert texts(hasher.column("msisdn", column([*raw, *raw]))) == wanted * 2


def test_both_parties_share_a_label_and_other_identifiers_do_not() -> None:
    hasher = Pseudonymiser(KEY)
    number = column(["429011234567801"])
    served = texts(hasher.column("msisdn", number))
    assert texts(hasher.column("msisdn_counterpart", number)) == served
    assert texts(hasher.column("imsi", number)) == [expected("imsi", "429011234567801")]
    assert texts(hasher.column("imsi", number)) != served


def test_another_key_gives_other_pseudonyms_and_another_id() -> None:
    other = bytes(32)
    number = column(["9779812345601"])
    mine, theirs = (texts(Pseudonymiser(key).column("msisdn", number)) for key in (KEY, other))
    assert mine != theirs
    assert pseudonyms.key_id("1", KEY) != pseudonyms.key_id("1", other)


def test_the_device_model_comes_from_the_raw_imei() -> None:
    raw = ["351234567890107", "35-123456-789010", "123", None, "000000000000000", "A1000012345678"]
    assert pseudonyms.tac(column(raw)).to_pylist() == ["35123456", "35123456", None, None, None, None]
    # A spreadsheet took the zero off: the check digit tells, and any other must not become a model.
    assert pseudonyms.tac(column(["12345678901237", "12345678901238"])).to_pylist() == ["01234567", None]
    assert pseudonyms.tac(column(["35876509000001F"]), "F").to_pylist() == ["35876509"]


def test_upstream_pseudonyms_are_passed_on_and_raw_looking_ones_refused() -> None:
    hasher = UpstreamPseudonyms(KEY)
    good = "AB" * 16
    assert texts(hasher.column("imsi", column([good, "short", None]))) == [good.lower(), None, None]
    with pytest.raises(
        DataFault, match=r"msisdn holds values that look like raw identifiers.*13 digits.*32 to 64"
    ) as raised:
        hasher.column("msisdn", column([good, "+9779812345601"]))
    assert "9779812345601" not in str(raised.value)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(Unusable, match=r"256 bits or more, .* and has 128 bits"):
        pseudonyms.parse_key("0f" * 16)


@given(
    st.binary(min_size=32, max_size=80),
    st.sampled_from(["msisdn", "imsi", "imei", "line"]),
    st.lists(st.text(max_size=90), min_size=1, max_size=40),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_block_is_hashed_as_the_standard_library_does(key, label, texts, with_keys) -> None:
    wanted = [hmac.new(key, f"{label}:{text}".encode(), hashlib.sha256).hexdigest() for text in texts]
    keys = [subscriber_key(text) if with_keys else int(text[:16], 16) for text in wanted]
    keys = [value - (value >= 2**63) * 2**64 for value in keys]
    keyed = KeyedHash(key)
    # Enough for a statement, which hashes more than a few.
    for threads, times in ((1, 1), (MANY_THREADS, FEW_TEXTS // len(texts) + 1)):
        keyed.use_threads(threads)
        for kind in (pa.string(), pa.large_string()):
            found = keyed.block(label, pa.array(texts * times, kind), with_keys=with_keys)
            assert found.digests.texts().to_pylist() == wanted * times
            assert found.keys.tolist() == keys * times


@given(st.lists(st.none() | st.text(max_size=80), max_size=20))
@settings(max_examples=30, deadline=None)
def test_the_key_of_a_text_is_the_same_in_sql(texts) -> None:
    rows = pa.table({"text": pa.array(texts, pa.string())})
    with duckdb.connect() as memory:
        memory.register("rows", rows)
        found = memory.execute(f"SELECT {key_sql('text')} FROM rows").fetchall()
    assert found == [(None if text is None else subscriber_key(text),) for text in texts]


def test_an_identifier_has_the_same_pseudonym_whether_or_not_it_is_remembered() -> None:
    hasher = Pseudonymiser(KEY, NEPAL)
    numbers = column(["9812345601", None, "9779812345602", "bad#"])
    first = hasher.column("msisdn", numbers)
    again = hasher.column("msisdn", numbers)
    assert (again.known, again.places.tolist()) == (first.known, first.places.tolist())
    forgotten = Pseudonymiser(KEY, NEPAL).column("msisdn", numbers)
    assert texts(forgotten) == texts(first)
    assert forgotten.row_leading_bits().to_pylist() == [
        int(text[:16], 16) if text else 0 for text in texts(first)
    ]


def test_the_text_behind_each_key() -> None:
    hasher = Pseudonymiser(KEY, NEPAL)
    kept = Used()
    blocks = [
        ["9812345602", "bad#", "9812345601", "9812345604"],
        ["9812345601", None],
        ["9812345603", "9779812345601"],
    ]
    behind = {}
    for block in blocks:
        found = hasher.column("msisdn", column(block))
        kept.add(found)
        behind |= dict(zip(found.row_keys().to_pylist(), texts(found), strict=True))
    kept.sort()
    del behind[None]
    assert len(behind) == 4
    assert kept.keys.tolist() == sorted(behind)
    assert kept.packed().to_pylist() == [bytes.fromhex(behind[key]) for key in sorted(behind)]
    assert not kept.ambiguous


def test_two_texts_with_one_key_are_told(monkeypatch) -> None:
    monkeypatch.setattr(
        pseudonyms,
        "subscriber_keys",
        lambda texts: pa.array([len(text.as_py()) for text in texts], pa.int64()),
    )
    hasher = UpstreamPseudonyms(KEY)
    kept = Used()
    for text in ("a" * 32, "a" * 33, "a" * 32):
        kept.add(hasher.column("msisdn", column([text])))
    kept.sort()
    assert not kept.ambiguous
    # Texts of other lengths are shown as they are.
    assert kept.packed().to_pylist() == ["a" * 32, "a" * 33]
    kept.add(hasher.column("msisdn", column(["b" * 33])))
    kept.sort()
    assert kept.ambiguous


def test_leading_bits_sort_as_their_texts_do() -> None:
    texts = ["00" * 16, "00" * 7 + "01" + "ff" * 8, "7f" * 16, "80" * 32, "ff" * 32]
    assert Digests.of_texts(texts).leading_bits().tolist() == [
        0, 1, 0x7F7F7F7F7F7F7F7F, 0x8080808080808080, 2**64 - 1,
    ]  # fmt: skip
    assert Digests.of_texts(texts).texts().to_pylist() == texts


def test_a_source_says_how_its_subscribers_are_written() -> None:
    text = Pseudonymiser(
        KEY, Reading(subscriber=Spelling("text", "[A-Za-z0-9+/]{4}"), counterpart=Spelling("imsi"))
    )
    assert texts(text.column("msisdn", column(["ab1/", "AB1/", "9812345601", None]))) == [
        expected("msisdn", "text:ab1/"),
        expected("msisdn", "text:AB1/"),
        None,
        None,
    ]
    assert texts(text.column("msisdn_counterpart", column(["429011234567801", "ab1/"]))) == [
        expected("msisdn", "imsi:429011234567801"),
        None,
    ]
    filled = Pseudonymiser(KEY, Reading(Numbering("977", "0", (10,)), filler="F"))
    one = expected("msisdn", "9779812345601")
    assert texts(filled.column("msisdn", column(["9779812345601F", "9812345601ff"]))) == [one, one]
    assert texts(Pseudonymiser(KEY).column("msisdn", column(["9779812345601F"]))) == [None]
