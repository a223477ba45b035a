"""When a Celery message may run, as a number."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def due_us(headers: Mapping[str, Any]) -> int:
    """The ``eta`` header as epoch microseconds; 0 without one. A naive time is UTC, as Celery writes it.

    Raises ValueError or TypeError when the header is no ISO 8601 time.
    """
    eta = headers.get("eta")
    if not eta:
        return 0
    moment = datetime.fromisoformat(eta)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)
