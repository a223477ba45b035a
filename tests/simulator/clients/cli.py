"""The AWS CLI: ``aws ses`` and ``aws sesv2``, a process for each call."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.simulator.clients.client import SENDER, Client, Family, Mail, Outcome

_AWS = Path(sys.executable).with_name("aws")


class Cli(Client):
    """Keys and Region come from the environment."""

    def __init__(self, family: Family, url: str) -> None:
        self.family = family
        self._url = url

    def send(self, mail: Mail) -> Outcome:
        content = {"Subject": {"Data": mail.subject}, "Body": {"Text": {"Data": mail.text}}}
        destination = json.dumps({"ToAddresses": list(mail.to)})
        arguments = ["send-email", "--destination", destination]
        if self.family == "v1":
            arguments += ["--from", SENDER, "--message", json.dumps(content)]
        else:
            arguments += ["--from-email-address", SENDER, "--content", json.dumps({"Simple": content})]
        if mail.configuration_set is not None:
            arguments += ["--configuration-set-name", mail.configuration_set]
        ended = self._run(*arguments)
        if ended.returncode:
            return Outcome(accepted=False, said=ended.stderr)
        return Outcome(accepted=True, ses_id=json.loads(ended.stdout)["MessageId"])

    def used(self) -> float:
        if self.family == "v1":
            quota: dict[str, Any] = json.loads(self._run("get-send-quota").stdout)
        else:
            quota = json.loads(self._run("get-account").stdout)["SendQuota"]
        return float(quota["SentLast24Hours"])

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        service = "ses" if self.family == "v1" else "sesv2"
        command = [str(_AWS), service, *arguments, "--endpoint-url", self._url, "--output", "json"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
