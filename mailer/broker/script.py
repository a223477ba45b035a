"""Lua scripts as they lie beside this file, with their parts in place, run by their digest.

A line ``part 'name'`` in a script stands for the text of ``parts/name.lua``: Redis has no ``require``. The line
numbers in an error of Redis's are those of the whole text, which ``python -m mailer.broker.script take`` prints.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import redis

_PART = re.compile(r"^part '(\w+)'$", re.MULTILINE)


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
    text = _PART.sub(lambda found: _read(f"parts/{found[1]}"), _read(name))
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _read(name: str) -> str:
    return files(__package__).joinpath(f"{name}.lua").read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(script(sys.argv[1]).text)
