"""What a worker writes into its log."""

from __future__ import annotations

import io
import logging

from mailer.worker.masking import MaskAddresses


def test_a_traceback_shows_no_address() -> None:
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(MaskAddresses())
    logger = logging.getLogger("mailer.test-masking")
    logger.addHandler(handler)
    try:
        int("jane@example.com")
    except ValueError:
        logger.exception("broke off")
    written = handler.stream.getvalue()
    assert "***@example.com" in written.splitlines()[-1]
    assert "jane" not in written
