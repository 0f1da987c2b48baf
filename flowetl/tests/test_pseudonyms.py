"""Pseudonyms: what they are, and which raw forms share one."""

import hashlib
import hmac

import pyarrow as pa
import pytest

from flowdb.keys import subscriber_key
from flowetl import pseudonyms
from flowetl.errors import ConfigurationError, DataFault
from flowetl.pseudonyms import (
    Pseudonymiser,
    Pseudonyms,
    Texts,
    UpstreamPseudonyms,
    normalise_imei,
    normalise_imsi,
    normalise_number,
)

KEY = bytes(range(32))


def column(values: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.large_string())])


def texts(found: Pseudonyms) -> list[str | None]:
    return found.texts.take(found.indices).to_pylist()


def expected(label: str, normal: str) -> str:
    return hmac.new(KEY, f"{label}:{normal}".encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("9779812345601", "9779812345601"),
        ("+977 981-2345601", "9779812345601"),
        ("009779812345601", "9779812345601"),
        ("09812345601", "9779812345601"),
        ("9812345601", "9779812345601"),
        ("447700900123", "447700900123"),
        ("1415", "short:1415"),
        ("MyBank", "name:mybank"),
        ("", None),
        ("98#", None),
        ("٣٤٥٦٧٨٩", None),
    ],
)
def test_numbers_in_international_form(raw: str, normal: str | None) -> None:
    assert normalise_number(raw, "977") == normal


def test_devices_and_sims() -> None:
    assert {normalise_imei(raw) for raw in ("35123456789010", "351234567890107", "3512345678901099")} == {
        "35123456789010"
    }
    assert normalise_imei("3512345678901") is None
    assert normalise_imsi("429011234567801") == "429011234567801"
    assert normalise_imsi("42901123456780x") is None


def test_a_pseudonym_is_a_keyed_hash_of_label_and_number() -> None:
    hasher = Pseudonymiser(KEY, "977")
    found = hasher.column("msisdn", column(["9812345601", None, "bad#", "9812345601"]))
    mine = expected("msisdn", "9779812345601")
    assert texts(found) == [mine, None, None, mine]
    assert found.row_keys().to_pylist() == [subscriber_key(mine), None, None, subscriber_key(mine)]


def test_both_parties_share_a_label_and_other_identifiers_do_not() -> None:
    hasher = Pseudonymiser(KEY, "")
    number = column(["429011234567801"])
    served = texts(hasher.column("msisdn", number))
    assert texts(hasher.column("msisdn_counterpart", number)) == served
    assert texts(hasher.column("imsi", number)) == [expected("imsi", "429011234567801")]
    assert texts(hasher.column("imsi", number)) != served


def test_another_key_gives_other_pseudonyms_and_another_id() -> None:
    other = bytes(32)
    number = column(["9779812345601"])
    mine, theirs = (texts(Pseudonymiser(key, "").column("msisdn", number)) for key in (KEY, other))
    assert mine != theirs
    assert pseudonyms.key_id("1", KEY) != pseudonyms.key_id("1", other)


def test_the_device_model_comes_from_the_raw_imei() -> None:
    assert pseudonyms.tac(column(["351234567890107", "35-123456-789010", "123", None])).to_pylist() == [
        "35123456",
        "35123456",
        None,
        None,
    ]


def test_upstream_pseudonyms_are_passed_on_and_raw_looking_ones_refused() -> None:
    hasher = UpstreamPseudonyms(KEY, "")
    good = "AB" * 16
    assert texts(hasher.column("imsi", column([good, "short", None]))) == [good.lower(), None, None]
    with pytest.raises(DataFault, match="msisdn holds values that look like raw identifiers") as raised:
        hasher.column("msisdn", column([good, "+9779812345601"]))
    assert "9779812345601" not in str(raised.value)


def test_a_short_secret_is_refused() -> None:
    assert pseudonyms.parse_key("0f" * 32) == bytes.fromhex("0f" * 32)
    with pytest.raises(ConfigurationError, match="has 128 bits; at least 256 are needed"):
        pseudonyms.parse_key("0f" * 16)


def pseudonyms_of(pairs: dict[int, str]) -> Pseudonyms:
    return Pseudonyms(pa.array(pairs.values(), pa.string()), pa.array(pairs, pa.int64()), pa.array([]))


@pytest.mark.parametrize("remembered", [0, 1000])
def test_the_text_behind_each_key(monkeypatch, remembered) -> None:
    monkeypatch.setattr(pseudonyms, "REMEMBERED", remembered)
    texts = Texts()
    texts.add(Pseudonyms(pa.array(["c", None]), pa.array([3, None], pa.int64()), pa.array([])))
    texts.add(pseudonyms_of({-1: "a", 3: "c", 0: "z"}))
    texts.add(pseudonyms_of({2: "b", -1: "a"}))
    assert texts.of(pa.array([3, None, -1, 3, 2])).to_pylist() == ["c", None, "a", "c", "b"]
    keys, found = texts.sorted()
    assert (keys.tolist(), found.to_pylist(), texts.ambiguous) == ([-1, 0, 2, 3], ["a", "z", "b", "c"], False)
    texts.add(pseudonyms_of({2: "other"}))
    texts.sorted()
    assert texts.ambiguous


def test_leading_bits_sort_as_their_texts_do() -> None:
    texts = ["00" * 16, "00" * 7 + "01" + "ff" * 8, "7f" * 16, "80" * 32, "ff" * 32]
    assert pseudonyms.leading_bits(pa.array([*texts, None])).to_pylist() == [
        0, 1, 0x7F7F7F7F7F7F7F7F, 0x8080808080808080, 2**64 - 1, 0,
    ]  # fmt: skip
