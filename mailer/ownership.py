"""Files and folders of this user alone.

Other users of the host may set traps: a `.mailer` in a folder that everybody may write, or a link in place of a file.
This module does not trust a file or folder that another user owns or may write, and writes nothing into it. It trusts
root, who can do anything.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mailer.errors import NotOurs
from mailer.user import name_of

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MOST_LINKS = 40
_MOST_BYTES = 4096
_ACL = "system.posix_acl_access"


def check_folder(folder: Path) -> None:
    """Raise NotOurs unless only this user controls the content of ``folder``.

    The folder must belong to this user or to root, and nobody else may write it. The same holds for each folder and
    link on the way, with one exception: others may write a folder with the sticky bit, such as /tmp, as they cannot
    replace our files there. Raises OSError where the folder cannot be inspected.
    """
    passed = list(_way_to(folder.absolute()))
    for place, found in passed:
        fault = _fault(found, place)
        is_last = place == passed[-1][0]
        if fault and (is_last or found.st_uid not in _believed() or not found.st_mode & stat.S_ISVTX):
            raise NotOurs(f"{folder} is not believed: {fault}")


def read_own(file: Path) -> str:
    """The text of ``file``, a few KB at most. The caller must check the folder.

    Raises NotOurs for a link, and for a file that another user owns or may write. Raises OSError.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        if file.is_symlink():
            raise NotOurs(f"{file} is not believed: it is a symbolic link") from None
        raise
    with os.fdopen(descriptor, "rb") as opened:
        found = os.fstat(descriptor)
        fault = _fault(found, file) if stat.S_ISREG(found.st_mode) else f"{file} is no file"
        if fault:
            raise NotOurs(f"{file} is not believed: {fault}")
        return opened.read(_MOST_BYTES).decode("utf-8", "replace")


def write_own(file: Path, text: str) -> None:
    """Replace ``file`` with one that only this user can read. A reader never sees a part of the text."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    partial.replace(file)


def make_own_folder(folder: Path) -> None:
    """Make ``folder`` and its missing parents, accessible to this user only. Raises as `check_folder` does."""
    for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        each.mkdir(mode=0o700, exist_ok=True)
    check_folder(folder)


def take_from_others(place: Path) -> None:
    """Remove all rights of other users to a file or folder. Raises NotOurs for a file, folder or link of another user.
    Raises OSError."""
    found = place.lstat()
    if found.st_uid not in _believed():
        raise NotOurs(f"{place} is not believed: it belongs to {name_of(found.st_uid)}")
    if not stat.S_ISLNK(found.st_mode) and found.st_mode & _OTHERS:
        place.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)


def _believed() -> tuple[int, int]:
    return os.geteuid(), 0


def _fault(found: os.stat_result, place: Path) -> str:
    """The reason not to trust ``place``; empty if there is no reason."""
    if found.st_uid not in _believed():
        return f"{place} belongs to {name_of(found.st_uid)}, not to {name_of(os.geteuid())}"
    if stat.S_ISLNK(found.st_mode):
        return ""
    if found.st_mode & stat.S_IWOTH:
        return f"everybody may write {place} (mode {stat.S_IMODE(found.st_mode):o})"
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, place):
        return f"a group may write {place} (mode {stat.S_IMODE(found.st_mode):o})"
    return ""


def _is_private(gid: int, place: Path) -> bool:
    """Whether only this user and root have the group's rights to ``place``, as where each user has a group alone."""
    with suppress(OSError, AttributeError):  # neither every system nor every file system has such lists
        if _ACL in os.listxattr(place):
            return False
    members = {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    with suppress(KeyError):
        members.update(grp.getgrgid(gid).gr_mem)
    return members <= {name_of(uid) for uid in _believed()}


def _way_to(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each folder and link on the way to ``path``, and ``path`` itself at the end."""
    here, links = Path(path.anchor), 0
    yield here, here.lstat()
    rest = list(reversed(path.parts[1:]))
    while rest:
        name = rest.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        found = step.lstat()
        yield step, found
        if not stat.S_ISLNK(found.st_mode):
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise NotOurs(f"{path} is not believed: {step} leads round in a circle")
        target = step.readlink()
        if target.is_absolute():
            here = Path(target.anchor)
        rest.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
