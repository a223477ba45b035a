"""State in a file (``--save``): the messages kept, and each account with its sends and resources.

Counts, events and faults belong to one run and are not saved. The format is JSON, so that people can read it and it
outlives the code.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mailer.simulator.inbox import RenderingFailure, Submission
from mailer.simulator.terms import Terms
from mailer.simulator.whole_file import writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mailer.simulator.account import Account
    from mailer.simulator.inbox import Message
    from mailer.simulator.service import Service

_log = logging.getLogger(__name__)

_VERSION = 1
_SAVE_SECONDS = 2.0


def save(service: Service, path: Path) -> None:
    _write(_collected(service), path)


async def keep_saving(service: Service, path: Path) -> None:
    """Save every few seconds if something may have changed. A thread does the writing, so that mail keeps coming in."""
    written = -1
    while True:
        await asyncio.sleep(_SAVE_SECONDS)
        changes = service.changes
        if changes != written:
            saving = asyncio.ensure_future(asyncio.to_thread(_write, _collected(service), path))
            try:
                await asyncio.shield(saving)
            except asyncio.CancelledError:
                # A thread cannot be cancelled. The next writer must not run at the same time.
                await asyncio.wait([saving])
                raise
            except OSError as error:
                _log.error("The state is not saved, and saving is tried again: %s", error)
            else:
                written = changes


def load(service: Service, path: Path) -> None:
    """Restore the state from the file, if it exists. Raises ``ValueError`` if it cannot be read."""
    try:
        saved = json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a saved simulator: {error}") from None
    if not isinstance(saved, dict) or saved.get("version") != _VERSION:
        raise ValueError(f"{path} is not a saved simulator of this version")
    try:
        _restore(service, saved)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise ValueError(f"{path} is damaged: {error!r}. Delete it to start afresh") from None


def _collected(service: Service) -> Callable[[], dict[str, Any]]:
    """Returns a function that makes the state to write. It converts the messages, so call it in the writing thread."""
    state = {
        "version": _VERSION,
        "clock": {"now": service.clock.now(), "frozen": service.clock.frozen},
        "accounts": {account.region: _account(account) for account in service.accounts},
    }
    messages = list(service.inbox.messages())
    return lambda: {**state, "messages": [_message(message) for message in messages]}


def _account(account: Account) -> dict[str, Any]:
    terms = asdict(account.terms)
    terms["verified"] = None if account.terms.verified is None else sorted(account.terms.verified)
    return {"terms": terms, "sent": account.sent(), **account.resources.to_json()}


def _message(message: Message) -> dict[str, Any]:
    submission = message.submission
    return {
        "at": message.at,
        "ses_id": message.ses_id,
        "region": submission.region,
        "transport": submission.transport,
        "sender": submission.sender,
        "recipients": submission.recipients,
        "form": submission.form,
        "data": base64.b64encode(submission.data).decode(),
        "tags": dict(submission.tags),
        "configuration_set": submission.configuration_set,
        "invocation_id": submission.invocation_id,
        "rendering_failure": submission.rendering_failure,
    }


def _write(collected: Callable[[], dict[str, Any]], path: Path) -> None:
    # In pieces, because mail keeps coming in meanwhile.
    with writing(path) as file:
        json.dump(collected(), file)


def _restore(service: Service, saved: dict[str, Any]) -> None:
    clock = service.clock
    # Never back: a saved send must not be in the clock's future.
    clock.advance(max(0.0, saved["clock"]["now"] - clock.now()))
    if saved["clock"]["frozen"]:
        clock.freeze()
    for region, each in saved["accounts"].items():
        _restore_account(service.accounts.in_region(region), each)
    for each in saved["messages"]:
        failure = each["rendering_failure"]
        submission = Submission(
            region=each["region"],
            transport=each["transport"],
            sender=each["sender"],
            recipients=tuple(each["recipients"]),
            form=each["form"],
            data=base64.b64decode(each["data"]),
            tags=each["tags"],
            configuration_set=each["configuration_set"],
            invocation_id=each["invocation_id"],
            rendering_failure=None if failure is None else RenderingFailure(*failure),
        )
        service.inbox.add(each["at"], each["ses_id"], submission)


def _restore_account(account: Account, saved: dict[str, Any]) -> None:
    terms = saved["terms"]
    verified = terms.pop("verified")
    account.change(Terms(**terms, verified=None if verified is None else frozenset(verified)))
    account.restore_sent([(at, recipients) for at, recipients in saved["sent"]])
    account.resources.restore(saved)
