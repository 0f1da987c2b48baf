"""Check what users are told of failed queries."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from flowmachine.failures import describe


def test_users_see_the_name_of_a_file_and_not_its_folder(tmp_path: Path) -> None:
    damaged = tmp_path / "part.parquet"
    damaged.write_bytes(b"no such thing")
    for path in (tmp_path / "absent.parquet", damaged, tmp_path / "some folder" / "x.parquet"):
        with duckdb.connect() as connection, pytest.raises(duckdb.Error) as failed:
            connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        told = describe(failed.value)
        assert path.name in told
        assert str(tmp_path) not in told
        assert str(tmp_path.parent.name) not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'Could not write file "/var/lib/flowkit/cache/ab/cd.parquet": No space left on device',
            'Could not write file "…/cd.parquet": No space left on device',
        ),
        ("could not extend file: No space left", "could not extend file: No space left"),
        ("1/2 of the rows and/or none", "1/2 of the rows and/or none"),
    ],
)
def test_other_words_of_a_message_stay(text: str, told: str) -> None:
    assert describe(OSError(text)) == f"OSError: {told}"
