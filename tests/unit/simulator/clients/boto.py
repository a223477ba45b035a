"""boto3, and django-ses upon it."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.unit.simulator.clients.client import SENDER, Client, Family, Mail, Outcome
from tests.unit.simulator.clients.django_mail import mailer, message

CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 1}, proxies={})


class Boto(Client):
    def __init__(self, family: Family, url: str) -> None:
        self.family = family
        self._client: Any = boto3.client("ses" if family == "v1" else "sesv2", endpoint_url=url, config=CONFIG)

    def send(self, mail: Mail) -> Outcome:
        chosen = {} if mail.configuration_set is None else {"ConfigurationSetName": mail.configuration_set}
        content = {"Subject": {"Data": mail.subject}, "Body": {"Text": {"Data": mail.text}}}
        destination = {"ToAddresses": list(mail.to)}
        try:
            if self.family == "v1":
                sent = self._client.send_email(Source=SENDER, Destination=destination, Message=content, **chosen)
            else:
                sent = self._client.send_email(
                    FromEmailAddress=SENDER, Destination=destination, Content={"Simple": content}, **chosen
                )
        except ClientError as error:
            return Outcome(accepted=False, said=str(error))
        return Outcome(accepted=True, ses_id=sent["MessageId"])

    def used(self) -> float:
        quota = self._client.get_send_quota() if self.family == "v1" else self._client.get_account()["SendQuota"]
        return float(quota["SentLast24Hours"])

    def close(self) -> None:
        self._client.close()


class DjangoSes(Client):
    """django-ses's backend, on either API. It sends MIME."""

    def __init__(self, family: Family, url: str) -> None:
        self.family = family
        self._connection = mailer(
            "django_ses.SESBackend",
            aws_region_name="us-east-1",
            aws_region_endpoint=url,
            aws_config=CONFIG,
            use_ses_v2=family == "v2",
        )

    def send(self, mail: Mail) -> Outcome:
        made = message(mail, self._connection)
        try:
            made.send()
        except ClientError as error:
            return Outcome(accepted=False, said=str(error))
        return Outcome(accepted=True, ses_id=made.extra_headers["message_id"])

    def used(self) -> float | None:
        self._connection.open()
        client = self._connection.connection
        quota = client.get_send_quota() if self.family == "v1" else client.get_account()["SendQuota"]
        self._connection.close()
        return float(quota["SentLast24Hours"])
