"""smtplib, and Django's SMTP backend upon it. STARTTLS, and a password derived as SES derives it."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

from tests.unit.simulator.clients.client import SENDER, Client, Mail, Outcome
from tests.unit.simulator.clients.django_mail import mailer, message


class Smtplib(Client):
    family = "smtp"

    def __init__(self, address: tuple[str, int], user: str, password: str, ca_file: str) -> None:
        self._smtp = smtplib.SMTP(*address, timeout=30)
        self._smtp.starttls(context=ssl.create_default_context(cafile=ca_file))
        self._smtp.login(user, password)

    def send(self, mail: Mail) -> Outcome:
        made = EmailMessage()
        made["From"], made["To"], made["Subject"] = SENDER, ", ".join(mail.to), mail.subject
        if mail.configuration_set is not None:
            made["X-SES-CONFIGURATION-SET"] = mail.configuration_set
        made.set_content(mail.text)
        try:
            self._smtp.send_message(made)
        except smtplib.SMTPResponseException as error:
            return Outcome(accepted=False, said=f"{error.smtp_code} {error.smtp_error!r}")
        return Outcome(accepted=True)

    def close(self) -> None:
        self._smtp.quit()


class DjangoSmtp(Client):
    family = "smtp"

    def __init__(self, address: tuple[str, int], user: str, password: str) -> None:
        host, port = address
        # Which certificates it trusts is the environment's: SSL_CERT_FILE.
        self._connection = mailer(
            "django.core.mail.backends.smtp.EmailBackend",
            host=host,
            port=port,
            username=user,
            password=password,
            use_tls=True,
            timeout=30,
        )

    def send(self, mail: Mail) -> Outcome:
        try:
            message(mail, self._connection).send()
        except smtplib.SMTPResponseException as error:
            return Outcome(accepted=False, said=f"{error.smtp_code} {error.smtp_error!r}")
        return Outcome(accepted=True)
