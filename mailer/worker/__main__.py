"""Celery's command over this application: ``python -P -m mailer.worker worker ...``, or ``flower``, ``inspect``, ...

``celery -A`` searches the current folder first, for the application and for its imports. Anybody may have written that
folder. This module imports the application before Celery searches.
"""

from __future__ import annotations

import sys

from celery.__main__ import main

import mailer.worker.app  # noqa: F401 - before Celery searches for it

if __name__ == "__main__":
    sys.argv[1:1] = ["-A", "mailer.worker"]
    main()
