"""Users of this host, by name and by number."""

from __future__ import annotations

import pwd


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def uid_of(user: str) -> int:
    """The number of ``user``, a name or a number. Raises ValueError for a name that this host does not know."""
    try:
        return int(user) if user.isascii() and user.isdecimal() else pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        raise ValueError(f"{user!r} is no user of this host: write a user's name, or a user's number") from None
