"""What the account may send, as written in Redis for every worker."""

from __future__ import annotations

import redis

from mailer.broker.keys import Keys
from mailer.broker.script import script
from mailer.settings import Settings


def write(
    client: redis.Redis,
    settings: Settings,
    *,
    rate: float,
    quota: float,
    sent: float | None = None,
    allows: bool | None = None,
    source: str = "settings",
    **shown: object,
) -> None:
    """Write the limits down; every worker's next take obeys them.

    ``rate`` is recipients per second, ``quota`` recipients in any 24 hours (-1: none), ``sent`` what SES counts in the
    last 24 hours and ``allows`` whether it lets the account send, both None if it was not asked. ``source`` says where
    the limits come from: ``settings``, or ``ses``, which is asked again before long. ``shown`` are further fields for
    ``mailer status``. Raises redis-py's errors.
    """
    keys = Keys.of(settings)
    more: list[object] = []
    for field, value in shown.items():
        more += (field, int(value) if isinstance(value, bool) else value)
    script("limits").run(
        client,
        [keys.account, keys.quota],
        [
            *(repr(float(rate)), int(quota), settings.rate_headroom, settings.burst or "", settings.quota_reserve),
            *(source, "" if sent is None else int(sent), "" if allows is None else int(allows), *more),
        ],
    )
