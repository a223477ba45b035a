"""Every code block of the README and the docs runs, or its command line is one that the command takes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from celery.bin.celery import celery

import mailer
from mailer.cli.commands import COMMANDS
from mailer.settings import current, strangers
from mailer.testbed.waiting import until
from ops.bench.__main__ import FIGURES, GROUPS
from ops.soak.faults import FAULTS
from tests.docs.pages import PAGES, Block, blocks
from tests.support import REPOSITORY
from tests.support.command import Mailer, account_environment
from tests.support.command import environment as clean
from tests.support.command import mailer as mailer_command
from tests.support.post import Post, environment, shared, simulator

__all__ = ["account_environment", "mailer_command", "shared", "simulator"]

# What the examples read, and what stands for the reader's own program.
FILES = {
    "newsletter.html": "<p>Dear {{ name }}</p>",
    "invoice.pdf": "%PDF-1.7",
    "people.csv": "to,name\njane@example.com,Jane\n",
    "letter.html": "<p>Dear {{ name }}</p>",
    "letter.eml": "From: a@example.com\n\nHello.\n",
}
SUBSCRIBERS = [SimpleNamespace(email="jane@example.com", name="Jane", token="t1")]
TRIED_OUT = {
    "docs/send/raw.md": """
from django.conf import settings
from django.core.mail import EmailMessage
if not settings.configured:  # by another test of this process
    settings.configure()
mail = EmailMessage("Hello", "Hello.", "shop@example.com", ["django@example.com"])
assert MailerBackend().send_messages([mail, EmailMessage("To nobody", "")]) == 1
""",
    "docs/send/errors.md": "assert send_reset('jane@example.com', 't') == send_reset('jane@example.com', 't')",
    "docs/operate/runbooks.md": "assert mailer.resume(lane='bulk')\nmailer.rate(None)",
}
APPLICATION = """
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import HTTPClientError

def welcome(address):
    ses = boto3.client("sesv2", config=Config(retries={"total_max_attempts": 1}))
    text = {"Data": "Welcome"}
    ses.send_email(FromEmailAddress="shop@example.com", Destination={"ToAddresses": [address]},
                   Content={"Simple": {"Subject": text, "Body": {"Text": text}}})
"""
ELSEWHERE = {".", "aws", "cd", "docker", "echo", "git", "pip", "pytest", "valkey-cli"}
"""Commands that are not ours."""

PYTHON = blocks("python", "py")
TESTS = [block for block in PYTHON if "def test_" in block.text]
EXAMPLES = [block for block in PYTHON if block not in TESTS]
LINES = [
    pytest.param(line, id=f"{block}: {line[:60]}")
    for block in blocks("sh", "bash", "shell", "console")
    for line in re.sub(r"\\\n\s*", "", block.text).splitlines()
]


@pytest.mark.parametrize("page", sorted({block.page for block in EXAMPLES}), ids=lambda page: page.stem)
def test_the_examples_of_a_page_run_and_their_mail_is_sent(page: Path, shared: Post, tmp_path: Path) -> None:
    folder(tmp_path)
    name = str(page.relative_to(REPOSITORY))
    texts = [(str(block), for_account(block.text, shared)) for block in EXAMPLES if block.page == page]
    texts.append((f"tried out: {name}", TRIED_OUT.get(name, "")))

    assert run_in_a_fork(texts, shared, tmp_path) == ""

    until(shared.idle, "the mail of the examples is sent")
    assert shared.aside("dead") == {}


def folder(path: Path) -> None:
    for name, text in FILES.items():
        (path / name).write_text(text)


def for_account(text: str, post: Post) -> str:
    assert post.settings.redis_url is not None
    text = text.replace("redis://redis.internal:6379/0", post.settings.redis_url.get_secret_value())
    return text.replace("mailer:{default}", f"mailer:{{{post.settings.account}}}")


def run_in_a_fork(texts: list[tuple[str, str]], post: Post, path: Path) -> str:
    """Run the texts in one namespace, as a program with the account's settings. Returns its traceback."""
    said = path / "said"
    child = os.fork()
    if child == 0:
        try:
            os.chdir(path)
            os.environ.clear()
            os.environ.update(environment(post.settings, post.simulator))
            current.cache_clear()
            sys.stdout = (path / "stdout").open("w")
            names: dict[str, Any] = {"subscribers": SUBSCRIBERS, "mailer": mailer}
            for place, text in texts:
                exec(compile(text, place, "exec"), names)  # noqa: S102
            said.write_text("")
        except BaseException:  # noqa: BLE001 - the child must not return into the parent's test
            said.write_text(traceback.format_exc())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return said.read_text()


def test_the_tests_in_the_docs_pass(tmp_path: Path) -> None:
    for number, block in enumerate(TESTS):
        (tmp_path / f"test_{number}.py").write_text(f"# {block}\n{APPLICATION}{block.text}")
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_is_one_that_the_command_takes(
    line: str, mailer_command: Mailer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in commands(line):
        check(words, mailer_command)


def commands(line: str) -> Iterator[list[str]]:
    """The commands of a line of shell, without variables that are set in front."""
    for part in re.split(r"\s&&\s", re.sub(r"<this repository>", "URL", line)):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
            words.pop(0)
        if words:
            yield words


def check(words: list[str], mailer_command: Mailer) -> None:
    match words:
        case ["mailer", "flower" as name, *rest]:
            has = mailer_command(name, "--help").stdout if rest else ""
            assert [each for each in options(rest) if each not in has] == []
        case ["mailer", *rest]:
            parse(rest)
        case ["celery", "-A", "mailer.worker", name, *rest]:
            taken = {each for option in celery.commands[name].params for each in option.opts}
            assert set(options(rest)) <= taken
        case ["make", target]:
            assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        case ["python" | ".venv/bin/python", "-m", module, *_]:
            assert find_spec(module)
        case ["python", _]:
            pass
        case ["export", assignment]:
            assert strangers({assignment.partition("=")[0]: ""}) == []
        case [name, *_]:
            assert name in ELSEWHERE, f"{name}: teach {__name__} what it is"


def parse(words: list[str]) -> None:
    """Raises an error of Typer for words that the command line does not take. Nothing is carried out."""
    command: Any = typer.main.get_command(import_module("mailer.cli.main").app)
    context = None
    name = "mailer"
    while hasattr(command, "list_commands"):
        context = command.context_class(command, info_name=name, parent=context)
        name, *words = words
        command = command.get_command(context, name)
        assert command is not None, f"{name} is no command"
        command = command.load() if hasattr(command, "load") else command
    context = command.make_context(name, words, parent=context)
    shown = {each for option in command.get_params(context) if not option.hidden for each in option.opts}
    assert set(options(words)) <= {*shown, *(each for option in command.params for each in option.secondary_opts)}


def options(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_in_the_text_of_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"`mailer ([a-z]+)[ `]", text)) <= set(COMMANDS)
    assert set(re.findall(r"python -m ops\.soak ([a-z][\w-]*)", text)) <= set(FAULTS)
    assert set(re.findall(r"python -m ops\.bench ([a-z][\w-]*)", text)) <= {*FIGURES, *GROUPS}
    assert set(re.findall(r"`make ([a-z]+)`", text)) <= set(re.findall(r"^([a-z]+):", makefile(), re.MULTILINE))
    settings = {name for name in re.findall(r"\bMAILER_[A-Z_]+\b", text) if not name.endswith("_")}
    assert strangers(dict.fromkeys(settings, "")) == []


def makefile() -> str:
    return (REPOSITORY / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", blocks("json", "toml"), ids=str)
def test_what_is_written_in_another_form_can_be_read(block: Block) -> None:
    assert (json.loads if block.language == "json" else tomllib.loads)(block.text)
