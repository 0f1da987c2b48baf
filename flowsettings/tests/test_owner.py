"""Check to whom files belong that root writes into the services' folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowsettings.owner import give_to_owner, make_folder

OTHER = 65_432


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_and_folders_of_root_belong_to_the_owner_of_the_folder_around(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, OTHER)
    make_folder(tmp_path / "one" / "two")
    (tmp_path / "one" / "two" / "file").touch()
    give_to_owner(tmp_path / "one" / "two" / "file")
    assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {OTHER}


def test_new_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    make_folder(tmp_path / "one" / "two")
    make_folder(tmp_path / "one" / "two")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")} == {0o700}
