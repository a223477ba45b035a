"""The AWS CLI, ``aws ses`` and ``aws sesv2``: the script itself asks for quotas, a fork that runs the same sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

from awscli.clidriver import create_clidriver

from tests.unit.simulator.clients.client import SENDER, Client, Family, Mail, Outcome


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
            quota: dict[str, Any] = json.loads(self._run("get-send-quota", by_script=True).stdout)
        else:
            quota = json.loads(self._run("get-account", by_script=True).stdout)["SendQuota"]
        return float(quota["SentLast24Hours"])

    def _run(self, *arguments: str, by_script: bool = False) -> subprocess.CompletedProcess[str]:
        service = "ses" if self.family == "v1" else "sesv2"
        command = [service, *arguments, "--endpoint-url", self._url, "--output", "json"]
        if by_script:
            script = Path(sys.executable).with_name("aws")
            return subprocess.run([script, *command], capture_output=True, text=True, check=False)
        with tempfile.TemporaryDirectory() as folder:
            output, errors = Path(folder, "stdout"), Path(folder, "stderr")
            # A fork has the modules imported already: most of what `aws` does in its second.
            child = os.fork()
            if child == 0:
                _become(command, output, errors)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            return subprocess.CompletedProcess(command, code, output.read_text(), errors.read_text())


def _become(arguments: list[str], output: Path, errors: Path) -> NoReturn:
    """What the script ``aws`` runs."""
    code = 70
    try:
        for descriptor, path in ((1, output), (2, errors)):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), descriptor)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        code = create_clidriver().main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's test
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
