"""The command as such: help, version, spellings, completion, and how errors look."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailer.cli.commands import COMMANDS, PLUMBING, Deferred
from mailer.cli.main import EXIT_CODES
from mailer.cli.spelling import OLD_SPELLINGS
from mailer.simulator.flags import flag_of
from mailer.simulator.options import Options
from ops.docs.documents import without_json
from tests.support.command import Mailer, command, environment

PASSED_ON = {"flower"}
"""It hands its arguments to a parser of its own."""


def leaves() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        loaded = Deferred(name).load()
        for sub, each in getattr(loaded, "commands", {"": loaded}).items():
            yield f"{name} {sub}".strip(), each


LEAVES = dict(leaves())


def test_help_lists_every_command_in_its_panel_without_importing_one() -> None:
    script = (
        "import sys; sys.argv = ['mailer', '--help']\n"
        "from mailer.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'redis', 'celery', 'pydantic', 'botocore'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
    ).stdout
    panels = re.split(r"╭─ (\w+) ─+╮", shown)
    for name, entry in COMMANDS.items():
        if entry.panel == PLUMBING:
            assert f" {name} " not in shown
        else:
            assert f"│ {name} " in panels[panels.index(entry.panel) + 1]
    assert all(meaning in " ".join(shown.split()) for meaning in EXIT_CODES.values())
    assert shown.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_begins_its_help_with_its_line_in_the_list(name: str) -> None:
    loaded = Deferred(name).load()
    assert loaded.name == name
    assert (loaded.help or "").split("\n\n")[0].replace("\n", " ") == COMMANDS[name].help


@pytest.mark.parametrize("name", sorted(LEAVES.keys() - PASSED_ON))
def test_every_option_says_what_it_does(name: str) -> None:
    params = LEAVES[name].params
    assert [each.name for each in params if not getattr(each, "help", None) and not each.hidden] == []


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", sorted(LEAVES.keys() - PASSED_ON))
def test_help_fits_and_names_no_types(mailer: Mailer, name: str, width: int) -> None:
    shown = mailer(*name.split(), "--help", COLUMNS=str(width)).stdout
    assert max(map(len, shown.splitlines())) <= width
    assert re.search(r"<(bool|str|int|float|file|list|path)|range|\[names\]|\{", shown.replace("{{", "")) is None
    # Words of a narrow column stand alone in their lines, and options that are cut off end in an ellipsis.
    assert "…" not in shown


def test_every_command_that_ends_by_itself_prints_json_on_request() -> None:
    assert without_json() == []


def test_it_knows_its_version(mailer: Mailer) -> None:
    assert mailer("--version").stdout.startswith("mailer 0.")


def test_an_option_that_asks_no_more_is_yes_everywhere() -> None:
    asking = {
        path: [each.opts for each in leaf.params if {"--yes", "-y"} & {*each.opts}] for path, leaf in LEAVES.items()
    }
    assert {path for path, opts in asking.items() if opts not in ([], [["--yes", "-y"]])} == set()


@pytest.mark.parametrize("old", OLD_SPELLINGS, ids=lambda old: old.spelling + " " + old.commands[0])
def test_an_old_spelling_is_hidden_and_its_new_one_is_there(old: Any) -> None:
    for path, each in LEAVES.items():
        hidden = [param for param in each.params if param.hidden and old.spelling in param.opts]
        assert bool(hidden) is (path.split()[-1] in old.commands), path


def test_old_spellings_work_with_a_hint(mailer: Mailer, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email\na@example.com\n")
    (tmp_path / "body.txt").write_text("Hi")
    subject = ("--subject", "Hello")
    for arguments, hints in (
        (("send", "--to", "a@example.com", "--sender", "me@example.com", *subject, "--text", "Hi"), ["--from"]),
        (
            ("import", "people.csv", "--sender=me@example.com", *subject, "--text", "body.txt"),
            ["--from", "--text-file"],
        ),
        (("find", "--to", "a@example.com"), ["ADDRESS"]),
        (("dead", "list", "--text", "verified"), ["--reason"]),
    ):
        done = mailer(*arguments)
        assert done.returncode == 0, done.stderr
        assert re.findall(r"mailer: write (\S+)(?: FILE)? instead of ", done.stderr) == hints
    assert mailer("worker", "--loglevel", "loud").returncode == 2
    assert mailer("send", "--to", "a@example.com", *subject, "--sender", "nobody", "--text", "--sender").stderr == (
        "mailer: write --from instead of --sender\n"
        "mailer: --from: has no @ or nothing before it. Write user@example.com\n"
    )


@pytest.mark.parametrize(
    ("typed", "name", "value", "said"),
    [
        ("status", "MAILER_LANES", "Bulk!", "MAILER_LANES: lane 'Bulk!'"),
        ("status", "MAILER_REDIS_URL", "", "MAILER_REDIS_URL is empty"),
        ("status", "MAILER_REDIS_URL", None, "MAILER_REDIS_URL is not set, .* start a server with `mailer up`"),
        ("valkey", "MAILER_DATA_DIR", "file", r"MAILER_DATA_DIR: nothing can be kept in /.*/file \(Not a directory\)"),
        ("up --simulator", "FLOWER_PORT", "abc", "FLOWER_PORT: 'abc' is no port. Use a number up to 65535"),
        ("up --simulator", "SIMULATOR_PORT", "99999", "SIMULATOR_PORT: '99999' is no port. Use a number up to 65535"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(
    mailer: Mailer, account_environment: dict[str, str], tmp_path: Path, typed: str, name: str, value: Any, said: str
) -> None:
    (tmp_path / "file").touch()
    account_environment.pop(name, None)
    done = mailer(*typed.split(), **({} if value is None else {name: value}))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.match(f"mailer: {said}", done.stderr)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["sedn"], "No such command 'sedn'. Did you mean 'send'? mailer -h shows what there is"),
        (["dead", "lst"], "No such command 'lst'. Did you mean 'list'? mailer dead -h shows what there is"),
        (["pause"], "Missing option '--reason'. mailer pause -h shows what there is"),
        (["dead", "show"], "Missing argument 'ID'. mailer dead show -h shows what there is"),
        (["worker", "--processes", "0"], "'--processes': Input should be greater than or equal to 1. mailer worker -h"),
        (["valkey", "--port", "99999"], "'--port': Input should be less than or equal to 65535. mailer valkey -h"),
        (["send", "--to", "a@example.com", "--attach", "no.pdf"], "'--attach': file 'no.pdf' does not exist."),
        (["send", "--too", "a@example.com"], "No such option: --too. Did you mean --to or --tag? mailer send -h"),
        (["send", "--sende", "a@example.com"], "such option: --sende. Did you mean --send-at or --header? mailer send"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(mailer: Mailer, typed: list[str], said: str) -> None:
    done = mailer(*typed)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


@pytest.mark.parametrize("typed", [[], ["dead"]])
def test_no_command_at_all_shows_the_help(mailer: Mailer, typed: list[str]) -> None:
    done = mailer(*typed)
    assert (done.returncode, "Usage: mailer" in done.stdout, done.stderr) == (2, True, "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("mailer s", "send status show scheduled simulate"),
        ("mailer dead re", "requeue"),
        ("mailer send --fr", "--from"),
    ],
)
def test_a_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    words = {"_MAILER_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    script = "import sys; sys.argv = ['mailer']; from mailer.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], env=environment(**words), capture_output=True, text=True)  # noqa: PLW1510
    assert (set(done.stdout.split()), done.stderr) == (set(offered.split()), "")


@pytest.mark.parametrize("typed", ["status", "dead list", "pause --reason x", "resume", "find a@example.com"])
def test_a_redis_that_does_not_answer_is_one_line_and_exit_code_1(mailer: Mailer, typed: str) -> None:
    done = mailer(*typed.split(), MAILER_REDIS_URL="redis://127.0.0.1:1/0")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert re.fullmatch(
        r"mailer: Redis did not answer \(.*Connection refused\)\. (Whether .* known\. )?Check MAILER_REDIS_URL and the "
        r"server\n",
        done.stderr,
    )


@pytest.mark.parametrize("typed", ["status", "dead list", "pause --reason x"])
def test_a_missing_password_of_redis_is_one_line_and_exit_code_2(
    mailer: Mailer, account_environment: dict[str, str], client: Any, typed: str
) -> None:
    url = account_environment["MAILER_REDIS_URL"].replace("redis://", "redis://nobody:wrong@")
    done = mailer(*typed.split(), MAILER_REDIS_URL=url)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("mailer: Redis wants a login (")
    assert done.stderr.endswith(
        "Put the user and the password into MAILER_REDIS_URL: redis://user:password@host:6379/0\n"
    )


def test_simulate_has_every_option_of_the_simulator_and_no_other() -> None:
    own = {flag_of(name, field) for name, field in Options.model_fields.items()}
    assert {opt for each in LEAVES["simulate"].params for opt in each.opts} == own
    assert len(own) > 30


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--rate 14 --host 192.0.2.1", "192.0.2.1 is not a loopback address: .* Pass --allow-remote if that is meant"),
        ("--rate fast", "--rate must be a number, not 'fast'"),
        ("--fault error,count=x", "count must be a whole number, not 'x'"),
        ("--qouta 3", "such option: --qouta. Did you mean --quota or --row-tag. mailer simulate -h shows"),
    ],
)
def test_simulate_tells_what_is_wrong_in_one_line(mailer: Mailer, typed: str, said: str) -> None:
    done = mailer("simulate", *typed.split())
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.search(said, done.stderr), done.stderr


@pytest.mark.parametrize("given", [["--port={}"], []], ids=["option", "variable"])
def test_flower_on_a_used_port_names_the_port_and_the_remedy(
    account_environment: dict[str, str], valkey: Any, given: list[str]
) -> None:
    port = re.findall(r":(\d+)", valkey.url)[-1]
    done = subprocess.run(
        command("flower", *(each.format(port) for each in given)),
        env=account_environment | {"FLOWER_PORT": port},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"mailer: Flower cannot listen on 127.0.0.1:{port} (Address already in use). Name another" in done.stderr
