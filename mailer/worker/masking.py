"""Addresses and logins out of logs: every line a worker writes shows ``j***@example.com``, and is one of ours."""

from __future__ import annotations

import logging
import re
from typing import Any

from celery import signals

from mailer.masking import mask_addresses

_FORMATTER = logging.Formatter()
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class MaskAddresses(logging.Filter):
    """Masks the addresses in a record's message, and in its traceback, before any handler formats it.

    What a message or SES says may stand in them: a terminal obeys nothing of it, and it begins no line in what we log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = _shown(text)
        if record.name.startswith("mailer."):
            masked = masked.replace("\n", "\\n")
        if masked != text:
            record.msg, record.args = masked, ()
        if record.exc_info and not record.exc_text:
            # Kept there by whoever formats it first, and used by all others.
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = _shown(record.exc_text)
        if record.stack_info:
            record.stack_info = _shown(record.stack_info)
        return True


def _shown(text: str) -> str:
    return mask_addresses(_OBEYED.sub(lambda found: repr(found[0])[1:-1], text))


def _mask_handlers(logger: logging.Logger | None = None, **_: Any) -> None:
    for handler in logger.handlers if logger is not None else ():
        handler.addFilter(MaskAddresses())


def install() -> None:
    """Mask in every handler that Celery sets up."""
    # At the level debug it writes the arguments of each task, so bodies.
    logging.getLogger("celery.pool").setLevel(logging.INFO)
    signals.after_setup_logger.connect(_mask_handlers, weak=False, dispatch_uid="mailer-mask")
    signals.after_setup_task_logger.connect(_mask_handlers, weak=False, dispatch_uid="mailer-mask-task")
