"""One message, one call to SES, one outcome, and what it means for the message. Pure: no Celery, no I/O but SES's."""
