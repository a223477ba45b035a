"""The account in Redis: the gated queue, and the Celery transport that takes from it."""
