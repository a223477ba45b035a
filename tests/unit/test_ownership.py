"""Files and folders that another user of the host owns, or may write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailer.errors import NotOurs
from mailer.ownership import check_folder, make_own_folder, read_own, take_from_others, write_own
from tests.support.another_user import NOBODY, as_another, common_folder, needs_two_users


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder in which every user may make files, as /tmp."""
    with common_folder(0o1777) as folder:
        yield folder


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_a_folder_of_this_user_alone_is_believed(tmp_path: Path, common: Path) -> None:
    make_own_folder(tmp_path / "a" / "b")
    make_own_folder(common / "ours")
    assert {mode(tmp_path / "a"), mode(tmp_path / "a" / "b"), mode(common / "ours")} == {0o700}
    (tmp_path / "link").symlink_to("a/../a")
    check_folder(tmp_path / "link" / ".." / "a" / "b")


@pytest.mark.parametrize("bits", [0o777, 0o757, 0o1777])
def test_a_folder_that_others_may_write_is_not(tmp_path: Path, bits: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(bits)
    with pytest.raises(NotOurs, match=f"everybody may write {tmp_path}/a "):
        check_folder(tmp_path / "a")


def test_nor_is_one_that_lies_in_such_a_folder(tmp_path: Path) -> None:
    make_own_folder(tmp_path / "a" / "b")
    (tmp_path / "a").chmod(0o777)
    with pytest.raises(NotOurs, match=f"everybody may write {tmp_path}/a "):
        check_folder(tmp_path / "a" / "b")


@needs_two_users
def test_nor_is_one_that_another_group_may_write(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o770)
    check_folder(tmp_path / "a")
    os.chown(tmp_path / "a", -1, NOBODY)
    with pytest.raises(NotOurs, match=f"a group may write {tmp_path}/a "):
        check_folder(tmp_path / "a")


@needs_two_users
def test_nor_is_one_that_another_user_made_or_leads_to(common: Path) -> None:
    assert as_another((common / "theirs").mkdir) == "None"
    assert as_another(lambda: (common / "link").symlink_to("/")) == "None"
    for each in (common / "theirs", common / "link"):
        with pytest.raises(NotOurs, match=f"{each} belongs to "):
            check_folder(each)
    with pytest.raises(NotOurs, match="theirs belongs to "):
        make_own_folder(common / "theirs" / "ours")


def test_links_that_lead_round_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(NotOurs, match="in a circle"):
        check_folder(tmp_path / "a")


def test_a_file_of_this_user_alone_is_written_and_read(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("whole")
    (tmp_path / "file.partial").symlink_to("victim")
    write_own(tmp_path / "file", "said\n")
    assert (read_own(tmp_path / "file"), mode(tmp_path / "file")) == ("said\n", 0o600)
    assert (tmp_path / "victim").read_text() == "whole"


def test_a_link_a_pipe_and_what_others_may_write_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("said")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "open").write_text("said")
    (tmp_path / "open").chmod(0o666)
    for name, why in (("link", "symbolic link"), ("pipe", "no file"), ("open", "everybody may write")):
        with pytest.raises(NotOurs, match=why):
            read_own(tmp_path / name)


@needs_two_users
def test_what_another_user_wrote_is_neither_read_nor_tightened(common: Path) -> None:
    as_another(lambda: (common / "file").write_text("said"))
    with pytest.raises(NotOurs, match="belongs to"):
        read_own(common / "file")
    with pytest.raises(NotOurs, match="belongs to"):
        take_from_others(common / "file")
