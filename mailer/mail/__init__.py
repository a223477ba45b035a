"""A mail as a value: addresses, headers, templates, content, and the message. Knows no Redis, Celery or AWS."""
