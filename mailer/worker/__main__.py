"""Celery's command over this application: ``python -P -m mailer.worker worker ...``, or ``flower``, ``inspect``, ...

``celery -A`` looks for an application, and for all that it imports, in the current folder first. That may be anybody's:
here all of it is there before Celery looks.
"""

from __future__ import annotations

import sys

from celery.__main__ import main

import mailer.worker.app  # noqa: F401 - so that nobody looks for it

if __name__ == "__main__":
    sys.argv[1:1] = ["-A", "mailer.worker"]
    main()
