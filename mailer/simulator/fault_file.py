"""Reads faults from a file: ``--faults FILE``.

TOML has a table per fault, ``[[fault]]``. JSON is a list of faults, or an object with such a list as ``"fault"``. The
fields are those of ``faults.Fault``.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from mailer.simulator.fault import Fault

if TYPE_CHECKING:
    from pathlib import Path


def load(path: Path) -> tuple[Fault, ...]:
    """The faults in the file. Raises ``ValueError`` that says which fault is wrong and why."""
    try:
        text = path.read_text(encoding="utf-8")
        value: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    faults = value
    if isinstance(value, dict):
        unknown = set(value) - {"fault"}
        if unknown:
            raise ValueError(f"{path}: a file of faults has only [[fault]], and no {', '.join(sorted(unknown))}")
        faults = value.get("fault", [])
    # TOML's [fault] is a single table. That is valid too.
    listed = faults if isinstance(faults, list) else [faults]
    return tuple(_fault(path, number, each) for number, each in enumerate(listed, 1))


def _fault(path: Path, number: int, value: object) -> Fault:
    try:
        return Fault.from_json(value)
    except ValueError as error:
        raise ValueError(f"{path}, fault {number}: {error}") from None
