"""The command as such: help, version, and how errors look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from mailer.cli.main import COMMANDS, Deferred
from tests.support.command import Mailer, environment


def test_help_lists_every_command_without_importing_one() -> None:
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
    assert all(f" {name} " in shown for name in COMMANDS)
    assert shown.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_begins_its_help_with_its_line_in_the_list(name: str) -> None:
    loaded = Deferred(name, callback=None).load()
    assert loaded.name == name
    assert (loaded.help or "").split("\n\n")[0].replace("\n", " ") == COMMANDS[name]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "simulate"])
def test_every_option_says_what_it_does(name: str) -> None:
    loaded = Deferred(name, callback=None).load()
    assert [option.name for option in loaded.params if not getattr(option, "help", None)] == []


def test_it_knows_its_version(mailer: Mailer) -> None:
    assert mailer("--version").stdout.startswith("mailer 0.")


def test_a_wrong_setting_is_one_line_and_exit_code_2(mailer: Mailer) -> None:
    done = mailer("status", MAILER_LANES="Bulk!")
    assert done.returncode == 2
    assert done.stderr.startswith("mailer: MAILER_LANES: lane 'Bulk!'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["sedn"], "No such command 'sedn'. mailer -h shows what there is"),
        (["pause"], "Missing option '--reason'. mailer pause -h shows what there is"),
        (["dead", "show"], "Missing argument 'name'. mailer dead show -h shows what there is"),
        (["worker", "--processes", "0"], "'--processes': Input should be greater than or equal to 1. mailer worker -h"),
        (["send", "--to", "a@example.com", "--attach", "no.pdf"], "'--attach': file 'no.pdf' does not exist."),
        (["send", "--too", "a@example.com"], "No such option: --too (Possible options: --tag, --to). mailer send -h"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(mailer: Mailer, typed: list[str], said: str) -> None:
    done = mailer(*typed)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


@pytest.mark.parametrize("typed", [[], ["dead"]])
def test_no_command_at_all_shows_the_help(mailer: Mailer, typed: list[str]) -> None:
    done = mailer(*typed)
    assert (done.returncode, "Usage: mailer" in done.stdout, done.stderr) == (2, True, "")


def test_no_redis_anywhere_says_how_to_get_one(mailer: Mailer, account_environment: dict[str, str]) -> None:
    del account_environment["MAILER_REDIS_URL"]
    done = mailer("status")
    assert (done.returncode, "mailer up" in done.stderr, done.stderr.count("\n")) == (2, True, 1)


def test_a_data_directory_that_cannot_be_one_is_named(mailer: Mailer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = mailer("valkey", MAILER_DATA_DIR="file")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(
        f"mailer: MAILER_DATA_DIR: nothing can be kept in {tmp_path / 'file'} (Not a directory)"
    )


def test_an_empty_address_of_redis_is_called_empty(mailer: Mailer) -> None:
    done = mailer("status", MAILER_REDIS_URL="")
    assert (done.returncode, done.stderr.startswith("mailer: MAILER_REDIS_URL is empty")) == (2, True)


def test_a_redis_that_does_not_answer_is_one_line_and_exit_code_1(mailer: Mailer) -> None:
    done = mailer("status", MAILER_REDIS_URL="redis://127.0.0.1:1/0")
    assert (done.returncode, "MAILER_REDIS_URL" in done.stderr, done.stderr.count("\n")) == (1, True, 1)
    assert "Connection refused). Check" in done.stderr


def test_simulate_passes_every_option_on(mailer: Mailer) -> None:
    done = mailer("simulate", "--rate", "14", "--host", "192.0.2.1")
    assert done.returncode == 2
    assert "--allow-remote" in done.stderr
    assert "--quota" in mailer("simulate", "--help").stdout


def test_typer_still_builds_commands_the_way_they_are_deferred() -> None:
    assert callable(typer.main.get_command)
