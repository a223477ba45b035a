"""Lua scripts as they lie beside this file, with their parts in place, run by their digest.

A line ``part 'name'`` in a script stands for the text of ``parts/name.lua``: Redis has no ``require``. The line
numbers in an error of Redis's are those of the whole text, which ``python -m mailer.broker.script take`` prints.
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

_PART = re.compile(r"^part '(\w+)'$", re.MULTILINE)
_stand_ins: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script: its text, and the digest that EVALSHA takes. Its contract heads the file."""

    text: str
    sha: str

    def run(self, client: redis.Redis, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """One round trip; two where the server does not have the script yet. Raises redis-py's errors."""
        try:
            return client.evalsha(self.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return client.eval(self.text, len(keys), *keys, *arguments)


@cache
def script(name: str) -> Script:
    """The script in ``<name>.lua``."""
    text = _PART.sub(lambda found: _stand_ins.get(found[1]) or _read(f"parts/{found[1]}"), _read(name))
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@contextmanager
def stand_in(part: str, text: str) -> Iterator[None]:
    """While the block runs, this process's scripts have ``text`` in place of that part.

    A switch for tests: with a clock of their own, no minute turns but those that they want to.
    """
    _stand_ins[part] = text
    script.cache_clear()
    try:
        yield
    finally:
        del _stand_ins[part]
        script.cache_clear()


def _read(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(script(sys.argv[1]).text)
