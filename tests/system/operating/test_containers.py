"""docker-compose.yml without Docker: every service's own command runs here, together, and Flower shows no secrets."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import redis
import yaml

from mailer.host.foreman import procfile
from mailer.host.valkey import binary
from mailer.settings import Settings
from mailer.testbed.waiting import free_port, until
from tests.support import REPOSITORY
from tests.support.command import command, environment
from tests.support.running import Running, running

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (REPOSITORY / "ops" / "Dockerfile").read_text()
AUTH = "ann:secret"
PASSWORD = "c0ffee5ecret"

SUBJECT, TEXT, HTML = "Subject that nobody may read", "Text that nobody may read", "<p>HTML that nobody may read</p>"
RECIPIENTS = ("ann.body@example.com", "Bob Builder <bob.builder@example.org>", "cleo@example.net")
SENDERS = ("me@example.com", "ann.body@example.com")
SECRETS = ("nobody may read", "ann.body@", "bob.builder@", "cleo@", "Builder", "unverified@", "me@", "Vera")


def test_the_procfile_at_the_top_is_the_one_that_runs() -> None:
    assert list(procfile()) == ["valkey", "simulator", "worker", "flower"]


def test_containers_run_what_the_procfile_runs() -> None:
    def defaults(line: str) -> set[str]:
        return set(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", line).split())

    different = defaults(procfile()["flower"]) ^ set(SERVICES["flower"]["command"].split())
    assert different == {"--address=127.0.0.1", "--address=0.0.0.0"}
    assert defaults(procfile()["worker"]) == set(SERVICES["worker"]["command"].split())


def test_everything_published_is_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_queue_never_forgets_and_workers_may_finish() -> None:
    valkey = SERVICES["valkey"]["command"][-1]
    assert "--appendonly yes" in valkey
    assert "--maxmemory-policy noeviction" in valkey
    assert SERVICES["valkey"]["volumes"] == ["valkey:/data"]
    assert SERVICES["worker"]["stop_grace_period"] == "45s"
    assert SERVICES["simulator"]["profiles"] == ["simulator"]


def test_the_simulator_knows_no_secret() -> None:
    assert SERVICES["simulator"]["environment"] == {}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["pids_limit"] <= 256
    assert "privileged" not in service
    assert "network_mode" not in service
    mounted = {volume.split(":")[0] for volume in service.get("volumes", [])}
    assert mounted <= {"valkey"}


def test_no_container_can_take_the_host_s_memory() -> None:
    assert {name: service["mem_limit"] for name, service in SERVICES.items()} == {
        "valkey": "1g",
        "worker": "512m",
        "flower": "512m",
        "simulator": "512m",
    }
    # Half of it is for what is on its way, and for the rewriting of its file.
    assert "--maxmemory 512mb" in SERVICES["valkey"]["command"][-1]


def test_nobody_in_a_container_is_root() -> None:
    assert SERVICES["valkey"]["user"] == "valkey"
    lines = DOCKERFILE.splitlines()
    last = lines[len(lines) - lines[::-1].index("FROM ${PYTHON}") :]
    [user] = [line.split()[1] for line in last if line.startswith("USER")]
    assert int(user) > 0
    assert f"--uid {user}" in DOCKERFILE
    assert [line for line in last if line.startswith("COPY")] == ["COPY --from=build /opt/mailer /opt/mailer"]


def test_images_are_named_by_digest() -> None:
    digest = re.compile(r"[a-z/.-]+:[\w.-]+@sha256:[0-9a-f]{64}")
    assert digest.fullmatch(SERVICES["valkey"]["image"])
    named = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert set(named) == {"${PYTHON}"}
    assert digest.fullmatch(*re.findall(r"^ARG PYTHON=(\S+)", DOCKERFILE, re.MULTILINE))
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert built == {"mailer"}


def test_an_image_holds_what_is_named_and_no_secret() -> None:
    # All is left out, but for what is copied.
    everything, *kept = (REPOSITORY / "ops" / "Dockerfile.dockerignore").read_text().split()
    assert everything == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {one[1:] for one in kept if one.startswith("!")} == set(" ".join(copied).split())
    assert not re.search(r"^(ARG|ENV) .*(PASSWORD|SECRET|TOKEN|KEY)", DOCKERFILE, re.MULTILINE)
    assert ".env" in (REPOSITORY / ".gitignore").read_text().split()


def test_valkey_starts_with_a_password_only() -> None:
    demanded = "${VALKEY_PASSWORD:?see the top of docker-compose.yml}"
    assert SERVICES["valkey"]["environment"] == {"REDISCLI_AUTH": demanded}
    for name in ("worker", "flower"):
        assert SERVICES[name]["environment"]["MAILER_REDIS_URL"] == f"redis://:{demanded}@valkey:6379/0"
    top = (REPOSITORY / "docker-compose.yml").read_text().partition("x-confined")[0]
    assert 'echo "VALKEY_PASSWORD=$(openssl rand -hex 24)" >> .env' in top


def test_the_simulator_env_leads_every_service_to_the_simulator() -> None:
    lines = (REPOSITORY / "ops" / "simulator.env").read_text().splitlines()
    variables = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert variables.pop("COMPOSE_PROFILES") == "simulator"
    assert variables.pop("VALKEY_PASSWORD")
    assert variables["AWS_ENDPOINT_URL_SESV2"] == "http://simulator:9025"
    assert "--port 9025" in SERVICES["simulator"]["command"]
    assert variables.keys() <= SERVICES["worker"]["environment"].keys()


def test_every_setting_reaches_the_containers() -> None:
    # Where Redis is they are told; these go with a Redis of one's own and with `mailer up`.
    elsewhere = {"MAILER_REDIS_SENTINEL_MASTER", "MAILER_REDIS_REPLICAS", "MAILER_DATA_DIR", "MAILER_ON_UNKNOWN"}
    # A container has none of the host's AWS files; its Region is AWS_REGION.
    elsewhere |= {"MAILER_AWS_PROFILE", "MAILER_AWS_REGION"}
    settings = {f"MAILER_{name.upper()}" for name in Settings.model_fields} - elsewhere
    assert settings <= SERVICES["worker"]["environment"].keys()


class Containers:
    """The services' commands as processes: other ports, loopback only, and host names that mean this host."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("valkey", "simulator", "flower")}
        self.environment = environment(
            PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin",
            MAILER_REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{self.ports['valkey']}/0",
            REDISCLI_AUTH=PASSWORD,
            AWS_ENDPOINT_URL_SESV2=f"http://127.0.0.1:{self.ports['simulator']}",
            AWS_ACCESS_KEY_ID="simulator",
            AWS_SECRET_ACCESS_KEY="simulator",
            AWS_REGION="us-east-1",
            FLOWER_BASIC_AUTH=AUTH,
        )
        self._stack = stack

    def start(self, service: str, *more: str) -> Running:
        whole = SERVICES[service]["command"]
        words = [*(shlex.split(whole) if isinstance(whole, str) else whole), *more]
        if service == "valkey":
            here = f"{binary()} --port {self.ports['valkey']} --bind 127.0.0.1"
            words = [word.replace("valkey-server", here).replace("$$", "$") for word in words]
        if words[0] == "mailer":
            words = command(*words[1:])
        text = "\0".join(words).replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - away with it
        for name, usual in (("flower", "5555"), ("simulator", "9025")):
            text = text.replace(usual, str(self.ports[name]))
        return self._stack.enter_context(running(text.split("\0"), self.environment, self.folder))

    def flower(self, path: str) -> Any:
        request = Request(f"http://127.0.0.1:{self.ports['flower']}{path}")
        request.add_header("Authorization", f"Basic {base64.b64encode(AUTH.encode()).decode()}")
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Containers]:
    with ExitStack() as stack:
        yield Containers(tmp_path, stack)


def test_the_services_send_mail_and_flower_shows_lanes_and_masked_recipients_only(containers: Containers) -> None:
    containers.start("valkey").wait_for("Ready to accept")
    with redis.Redis(port=containers.ports["valkey"]) as anybody, pytest.raises(redis.exceptions.AuthenticationError):
        anybody.ping()
    # In the sandbox SES refuses an unverified recipient in words that quote the address.
    verified = [part for one in ("example.org", "example.net", *SENDERS) for part in ("--verified", one)]
    containers.start("simulator", "--sandbox", *verified).wait_for('"http"')
    worker = containers.start("worker")
    worker.wait_for(r"ready\.", 2)
    containers.start("flower").wait_for("Visit me at")
    worker.wait_for("Events of group {task} enabled by remote", 2)

    shown = subprocess.run(["ps", "-ww", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    assert str(containers.ports["valkey"]) in shown
    assert PASSWORD not in shown

    folder, env = containers.folder, containers.environment
    (folder / "body.html").write_text(HTML)
    (folder / "people.csv").write_text("email,name\ncleo@example.net,Vera\n")
    (folder / "letter.txt").write_text(f"Dear {{{{ name }}}}, {TEXT}")
    sender = ("--from", "me@example.com", "--subject", SUBJECT)
    for arguments in (
        ("send", *sender, "--to", RECIPIENTS[0], "--to", RECIPIENTS[1], "--text", TEXT, "--html-file", "body.html"),
        ("import", "people.csv", *sender, "--text-file", "letter.txt"),
        ("send", *sender, "--to", "unverified@example.com", "--text", TEXT),
    ):
        subprocess.run(command(*arguments), env=env, cwd=folder, check=True, capture_output=True)

    def finished() -> bool:
        tasks: dict[str, dict[str, Any]] = containers.flower("/api/tasks")
        return len(tasks) == 4 and all(task["state"] == "SUCCESS" for task in tasks.values())

    until(finished)
    tasks = containers.flower("/api/tasks")
    details = [containers.flower(f"/api/task/info/{task_id}") for task_id in tasks]
    assert sorted(task["kwargs"] for task in tasks.values()) == [
        "bulk c***@example.net",
        "transactional a***@example.com",
        "transactional b***@example.org",
        "transactional u***@example.com",
    ]
    shown = json.dumps([tasks, details])
    assert [secret for secret in SECRETS if secret in shown] == []
    assert re.findall(r"[\w.]{2,}@(?!vm|localhost)[\w-]+\.\w+", shown) == []
    assert sum("sent 01" in task["result"] for task in tasks.values()) == 3
    assert (
        sum("MessageRejected" in task["result"] and "u***@example.com" in task["result"] for task in tasks.values())
        == 1
    )
