"""The worker: a Celery application whose task sends one message.

``celery -A mailer.worker worker -Q transactional,bulk -P threads -c 32`` runs one process; ``mailer worker`` runs
several.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def __getattr__(name: str) -> Any:
    # Celery looks for this attribute. It is made on demand, so that this package can be imported without settings, and
    # stored, so that it is made once.
    if name != "celery":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mailer.settings import current  # noqa: PLC0415
    from mailer.worker import environment  # noqa: PLC0415
    from mailer.worker.app import create_app  # noqa: PLC0415

    app = globals()[name] = create_app(current())
    if names := environment.contradictions(current(), os.environ):
        # On standard error, for any command of `celery`: no log is set up yet.
        sys.stderr.write(f"mailer: {environment.told(names)}\n")
    return app
