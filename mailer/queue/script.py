"""The Lua scripts in ``lua/``, with their parts inserted, run by their digest.

A line ``local it = part 'name'`` in a script is replaced by the text of ``parts/name.lua``, in a block of its own:
Redis has no ``require``. ``it`` is the value that the part returns; the part's other locals stay inside the block. The
part's line ``-- Needs ...`` names the script's locals, defined above, that it uses. ``ops.lint_lua`` checks both.

Each closure that a script creates costs time. So a part that few calls need has the line ``-- Made when first called.``
Then ``it`` is a function that makes the part's value at its first call, and returns it: ``it().member``.

An error of Redis gives line numbers of the whole text: ``python -m mailer.queue.script take`` prints that text.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import redis

CONFIRM_SECONDS = 1.0
"""How long replicas may take to confirm a script's writes. They are asked at once, so most take one round trip."""

_PART = re.compile(r"^local (\w+) = part '(\w+)'$", re.MULTILINE)
_RETURN = re.compile(r"^return\b", re.MULTILINE)
_LAZY = "\n-- Made when first called.\n"
_stand_ins: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script: its text, and the digest that EVALSHA takes. Its contract heads the file."""

    text: str
    sha: str

    def run(
        self, client: redis.Redis, keys: Sequence[str | bytes], arguments: Sequence[Any], *, replicas: int = 0
    ) -> Any:
        """Run the script: one round trip, or two if the server does not have it yet. Raises redis-py's errors.

        With ``replicas`` it waits until so many replicas have the script's writes. If they do not confirm in time, it
        raises ConnectionError, although the script has run.
        """
        with client.pipeline(transaction=False) as pipe:
            for how in (("EVALSHA", self.sha), ("EVAL", self.text)):
                pipe.execute_command(*how, len(keys), *keys, *arguments)
                if replicas:
                    pipe.execute_command(*wait_for(replicas))
                reply, *reached = pipe.execute(raise_on_error=False)
                if not isinstance(reply, redis.exceptions.NoScriptError):
                    break
        for each in (reply, *reached):
            if isinstance(each, Exception):
                raise each
        if replicas and reached[0] < replicas:
            raise redis.exceptions.ConnectionError(unconfirmed(reached[0], replicas))
        return reply


def wait_for(replicas: int) -> tuple[str, ...]:
    """The command to send after a script: it waits for ``replicas`` to have the writes, and returns how many do."""
    return ("WAIT", str(replicas), str(int(CONFIRM_SECONDS * 1000)))


def unconfirmed(reached: int, replicas: int) -> str:
    """The words for a script whose writes too few replicas have."""
    return (
        f"{reached} of {replicas} replicas confirmed within {CONFIRM_SECONDS:g} s (MAILER_REDIS_REPLICAS). One is away "
        "or slow, or another server is the master now"
    )


@cache
def script(name: str) -> Script:
    """The script in ``lua/<name>.lua``."""
    text = _PART.sub(lambda found: _in_place(*found.groups()), _read(name))
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@contextmanager
def stand_in(part: str, text: str) -> Iterator[None]:
    """While the block runs, this process's scripts contain ``text`` instead of the part.

    For tests: with a clock of their own they decide when a minute begins.
    """
    _stand_ins[part] = text
    script.cache_clear()
    try:
        yield
    finally:
        del _stand_ins[part]
        script.cache_clear()


def _in_place(name: str, part: str) -> str:
    text = _stand_ins.get(part) or _read(f"parts/{part}")
    if _LAZY in text:
        made = _RETURN.sub("made =", text)
        text = f"local made\nfunction offered()\nif made then return made end\n{made}return made\nend"
    else:
        text = _RETURN.sub("offered =", text)
    # Through `offered`, because the part may have a local called `name`.
    return f"local offered\ndo\n{text.rstrip()}\nend\nlocal {name} = offered"


def _read(name: str) -> str:
    return files(__package__).joinpath(f"lua/{name}.lua").read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(script(sys.argv[1]).text)
