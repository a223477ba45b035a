"""The commands of ``celery control`` that a mailer worker refuses or changes. A refusal says why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from celery.utils.functional import maybe_list
from celery.utils.log import get_logger
from celery.worker import control as stock
from celery.worker import state as worker_state

logger = get_logger(__name__)

_PLACES = "How much is sent at once is said when a worker starts: `mailer worker --processes N --threads M`, or -c"
_REFUSED = {
    "rate_limit": "The rate is the account's, for all hosts together: `mailer rate`",
    "time_limit": "A send ends by MAILER_CONNECT_TIMEOUT_SECONDS and MAILER_READ_TIMEOUT_SECONDS",
    "pool_grow": _PLACES,
    "pool_shrink": _PLACES,
    "pool_restart": "Restart the worker: what it does not send before goes back to its lane",
    "autoscale": _PLACES,
    "revoke_by_stamped_headers": "Stamps of a message are not read. `mailer pause` stops a lane",
    "election": "Workers decide nothing among them: Redis does",
}


def _refuse(name: str, why: str, /, *_: Any, **__: Any) -> dict[str, str]:
    logger.warning("`celery control %s` does nothing here. %s", name, why)
    return {"error": f"{name} does nothing here. {why}"}


def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **_: Any) -> Any:
    """Revoke messages by their ids, in each worker that receives the command. ``terminate`` ends the process that sends
    one of them, where the pool has processes."""
    ids = [each for each in maybe_list(task_id) or [] if isinstance(each, str)]
    # Only the pool of forked children uses a semaphore, and only it has a process to end.
    if terminate and state.consumer.pool.uses_semaphore:
        return stock.revoke(state, ids, terminate=True, signal=signal)
    worker_state.revoked.update(ids)
    being_sent = [each.id for each in worker_state.active_requests if each.id in set(ids)]
    said = f"until this worker ends it drops {', '.join(ids)} unsent where it takes it"
    if being_sent:
        said += f"; {', '.join(being_sent)} is being sent, which cannot be called back"
    logger.warning("Revoked: %s", said)
    return {"ok": said}


def add_consumer(state: Any, queue: Any, **options: Any) -> Any:
    """Serve a lane again. Other queues are refused: their mail would be sent past the account's rate."""
    lanes = state.app.settings.lanes
    if queue not in lanes:
        return _refuse("add_consumer", f"{queue!r:.80} is no lane of MAILER_LANES={','.join(lanes)}")
    return stock.add_consumer(state, queue, **options)


def commands() -> dict[str, Callable[..., Any]]:
    """All commands that a mailer worker answers, by name."""
    terminate = partial(revoke, terminate=True)
    ours = {name: partial(_refuse, name, why) for name, why in _REFUSED.items()}
    return {**stock.Panel.data, **ours, "revoke": revoke, "terminate": terminate, "add_consumer": add_consumer}
