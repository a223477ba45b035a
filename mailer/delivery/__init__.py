"""One message, one call to SES, one outcome and its settlement. Pure: no Celery, and no I/O except the call to SES."""
