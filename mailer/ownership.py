"""Files and folders of this user alone.

Other users of the host may lay traps: a `.mailer` in a folder that everybody may write, a link in place of a file. What
one of them owns, or may write, is not believed, and nothing is written into it. Root is believed: it can do anything.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from mailer.errors import NotOurs
from mailer.user import name_of

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_MOST_LINKS = 40
_MOST_BYTES = 4096
_ACL = "system.posix_acl_access"


def check_folder(folder: Path) -> None:
    """Raise NotOurs unless only this user decides what lies in ``folder``.

    It belongs to this user, or to root, and nobody else may write it. So it is with each folder and link on the way,
    but that others may write a folder with the sticky bit, as /tmp: there they cannot replace what is ours. Raises
    OSError where it cannot be looked at.
    """
    passed = list(_way_to(folder.absolute()))
    for place, found in passed:
        fault = _fault(found, place)
        is_last = place == passed[-1][0]
        if fault and (is_last or found.st_uid not in _believed() or not found.st_mode & stat.S_ISVTX):
            raise NotOurs(f"{folder} is not believed: {fault}")


def read_own(file: Path) -> str:
    """What ``file`` says, a few KB at most. Raises NotOurs for a link, and where another user wrote it or may; OSError.

    Whether the folder can be believed is for the caller to look at.
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
    """Write ``file`` anew, for this user's eyes only: whoever waits for it never reads half of it."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    partial.replace(file)


def make_own_folder(folder: Path) -> None:
    """Make ``folder``, and what is missing on the way to it, for this user's eyes only. Raises as `check_folder`."""
    for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        each.mkdir(mode=0o700, exist_ok=True)
    check_folder(folder)


def take_from_others(place: Path) -> None:
    """Take every right of others to a file or folder away. Raises NotOurs where another user owns it, or it is a link
    that another user made; OSError."""
    found = place.lstat()
    if found.st_uid not in _believed():
        raise NotOurs(f"{place} is not believed: it belongs to {name_of(found.st_uid)}")
    if not stat.S_ISLNK(found.st_mode) and found.st_mode & _OTHERS:
        place.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)


def _believed() -> tuple[int, int]:
    return os.geteuid(), 0


def _fault(found: os.stat_result, place: Path) -> str:
    """Why ``place`` may be somebody else's trap; empty if it is none."""
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
    """Whether nobody but this user and root has a group's rights to ``place``, as where each user has a group."""
    if hasattr(os, "listxattr"):
        try:
            if _ACL in os.listxattr(place):
                return False
        except OSError:
            pass
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        members = set()
    members |= {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    return members <= {name_of(uid) for uid in _believed()}


def _way_to(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each folder and link that leads to ``path``, and it itself at the end."""
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
