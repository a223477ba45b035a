"""Django's mail, configured without a project around it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from tests.unit.simulator.clients.client import SENDER, Mail


def mailer(backend: str, **options: Any) -> Any:
    """A backend by its path, as ``EMAIL_BACKEND`` would name it."""
    if not settings.configured:
        # It would slow down by itself otherwise, and never be refused.
        settings.configure(AWS_SES_AUTO_THROTTLE=None)
    return get_connection(backend, **options)


def message(mail: Mail, connection: Any) -> EmailMessage:
    headers = {} if mail.configuration_set is None else {"X-SES-CONFIGURATION-SET": mail.configuration_set}
    return EmailMessage(mail.subject, mail.text, SENDER, list(mail.to), headers=headers, connection=connection)
