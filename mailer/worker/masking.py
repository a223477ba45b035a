"""Addresses and logins out of logs: every line a worker writes shows ``j***@example.com``."""

from __future__ import annotations

import logging
from typing import Any

from celery import signals

from mailer.masking import mask_addresses

_FORMATTER = logging.Formatter()


class MaskAddresses(logging.Filter):
    """Masks the addresses in a record's message, and in its traceback, before any handler formats it."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = mask_addresses(text)
        if masked != text:
            record.msg, record.args = masked, ()
        if record.exc_info and not record.exc_text:
            # Kept there by whoever formats it first, and used by all others.
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = mask_addresses(record.exc_text)
        if record.stack_info:
            record.stack_info = mask_addresses(record.stack_info)
        return True


def _mask_handlers(logger: logging.Logger | None = None, **_: Any) -> None:
    for handler in logger.handlers if logger is not None else ():
        handler.addFilter(MaskAddresses())


def install() -> None:
    """Mask in every handler that Celery sets up."""
    # At the level debug it writes the arguments of each task, so bodies.
    logging.getLogger("celery.pool").setLevel(logging.INFO)
    signals.after_setup_logger.connect(_mask_handlers, weak=False, dispatch_uid="mailer-mask")
    signals.after_setup_task_logger.connect(_mask_handlers, weak=False, dispatch_uid="mailer-mask-task")
