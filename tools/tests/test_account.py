"""Test who runs the native stack's services where root starts them."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import account
import pytest
from account import Account, Choice
from layout import DEFAULT_PORTS, PYTHON, Layout, StackError
from native import Native

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

OTHER = 65_432


@pytest.fixture
def other() -> Account:
    return Account("other", OTHER, OTHER)


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(account.SETTING, raising=False)


def owner(path: Path) -> int:
    return path.lstat().st_uid


def test_all_that_is_root_s_in_a_folder_is_given_away(other: Account, tmp_path: Path) -> None:
    (tmp_path / "own" / "below").mkdir(parents=True)
    (tmp_path / "own" / "below" / "file").touch()
    other.own_all(tmp_path / "own")
    assert {owner(path) for path in (tmp_path / "own").rglob("*")} == {OTHER}
    assert owner(tmp_path) == 0


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_nothing_outside_is_given_away_by_a_link(other: Account, tmp_path: Path, make: object) -> None:
    outside = tmp_path / "outside"
    outside.touch()
    (tmp_path / "own").mkdir()
    assert callable(make)
    make(outside, tmp_path / "own" / "link")
    other.own_all(tmp_path / "own")
    assert owner(outside) == 0


def test_a_folder_in_whose_place_the_services_put_a_link_is_refused(other: Account, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").touch()
    found = Layout(state=tmp_path / "state", ports=DEFAULT_PORTS)
    vars(found)["runs_as"] = Choice(other)
    native = Native(found)
    native._make_folders()
    for folder in found.service_folders:
        folder.rename(tmp_path / "kept")
        folder.symlink_to(outside)
        os.chown(folder, OTHER, OTHER, follow_symlinks=False)
        with pytest.raises(StackError, match=f"{folder} is no folder of the services"):
            native._make_folders()
        with pytest.raises(OSError, match=r"symbolic link|Not a directory"):
            native._write_private(folder / "told", "told")
        folder.unlink()
        (tmp_path / "kept").rename(folder)
    assert [owner(outside), owner(outside / "file"), [path.name for path in outside.iterdir()]] == [
        *(0, 0),
        ["file"],
    ]
    assert outside.stat().st_mode & 0o777 == 0o755


def test_a_link_of_the_launcher_s_to_a_larger_disk_is_followed(other: Account, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").touch()
    (tmp_path / "columnar").symlink_to(tmp_path / "disk")
    other.own_all(tmp_path / "columnar")
    assert owner(tmp_path / "disk" / "file") == OTHER


def test_what_the_launcher_writes_follows_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (tmp_path / ".secret.new").symlink_to(victim)
    Native(Layout(state=tmp_path, ports=DEFAULT_PORTS))._write_private(tmp_path / "secret", "told")
    assert (victim.read_text(), (tmp_path / "secret").read_text()) == ("as it was", "told")


def test_root_is_kept_where_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(account.SETTING, "root")
    assert account.choose(tmp_path, PYTHON) == Choice(None)


def test_a_user_who_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(account.SETTING, "no-such-user")
    assert account.choose(tmp_path, PYTHON) == Choice(None, "there is no user no-such-user")


def test_a_folder_that_others_cannot_enter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv(account.SETTING, "nobody")
    assert account.choose(closed, Path(sys.executable)) == Choice(
        None, f"user nobody cannot reach {closed} or {sys.executable}"
    )


def test_later_commands_have_the_user_to_whom_the_secrets_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "_can_work", lambda *_: True)
    (tmp_path / "secrets").mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path / "secrets", nobody.pw_uid, nobody.pw_gid)
    assert account.choose(tmp_path, PYTHON) == Choice(Account("nobody", nobody.pw_uid, nobody.pw_gid))


def test_the_supervisor_s_plan_and_the_logs_stay_the_launcher_s(other: Account, tmp_path: Path) -> None:
    found = Layout(state=tmp_path, ports=DEFAULT_PORTS)
    vars(found)["runs_as"] = Choice(other)
    Native(found)._make_folders()
    assert {owner(path) for path in found.service_folders} == {OTHER}
    # Nobody but root may rename them: the folder around is sticky, and root's.
    assert [owner(path) for path in (tmp_path, found.plan_file.parent, found.logs)] == [0, 0, 0]
    assert tmp_path.stat().st_mode & 0o7777 == 0o1771
    assert found.belonging_to_root() == []
