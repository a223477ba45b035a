"""Find the server that ``mailer up`` embeds on this host, for processes of the same user."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from mailer.errors import NotOurs
from mailer.ownership import check_folder, read_own

_REMEDY = (
    "Set MAILER_REDIS_URL, or MAILER_DATA_DIR to a folder that is yours alone and lies in no folder of others; or run "
    "this as the user whose server it is"
)


def address_file(folder: Path) -> Path:
    """The file in which the server over ``folder`` publishes its URL, with the password, while it runs."""
    return folder / "valkey.url"


def lock_file(folder: Path) -> Path:
    """The file that is locked while the server over ``folder`` runs."""
    return folder / "valkey.lock"


def embedded_url(folder: Path) -> str | None:
    """The URL of the server that runs over ``folder``; None if no server does.

    Raises NotOurs if another user can write the file or could have written it: mail might go to that user's server.
    """
    file = address_file(folder)
    try:
        check_folder(folder)
        url = read_own(file).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotOurs as error:
        raise NotOurs(f"MAILER_DATA_DIR: {error}. {_REMEDY}") from None
    except OSError as error:
        raise NotOurs(f"MAILER_DATA_DIR: {file} cannot be read ({error.strerror}). {_REMEDY}") from None
    return url if url and _runs(folder) else None


def _runs(folder: Path) -> bool:
    """Whether the server that wrote the address still runs. If it was killed, any process may listen on its port."""
    try:
        descriptor = os.open(lock_file(folder), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # without a lock file a person wrote the address
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
