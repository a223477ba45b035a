"""Keep addresses and logins out of logs: a worker's log shows ``j***@example.com``. No foreign text begins a line."""

from __future__ import annotations

import logging
import re
from typing import Any

from celery.app import log as stock

from mailer.masking import mask_addresses

_FORMATTER = logging.Formatter()
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class MaskAddresses(logging.Filter):
    """Masks the addresses in a record's message and traceback before any handler formats them.

    Both may quote a message or SES. Control characters are escaped, so that a terminal obeys none of them. In our own
    records line breaks are escaped too, so that quoted text never begins a line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = _shown(text)
        if record.name.startswith("mailer."):
            masked = masked.replace("\n", "\\n")
        if masked != text:
            record.msg, record.args = masked, ()
        if record.exc_info and not record.exc_text:
            # The first formatter stores its text there, and all later ones use it.
            record.exc_text = _FORMATTER.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = _shown(record.exc_text)
        if record.stack_info:
            record.stack_info = _shown(record.stack_info)
        return True


def _shown(text: str) -> str:
    return mask_addresses(_OBEYED.sub(lambda found: repr(found[0])[1:-1], text))


class Logging(stock.Logging):
    """Celery's logging, with masking in every handler that it sets up."""

    _masks = MaskAddresses()

    def setup_handlers(self, logger: logging.Logger, *args: Any, **options: Any) -> logging.Logger:
        found: logging.Logger = super().setup_handlers(logger, *args, **options)
        for handler in found.handlers:
            handler.addFilter(self._masks)
        return found
