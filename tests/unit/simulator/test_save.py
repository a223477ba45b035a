"""State that outlives the process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mailer.simulator.client import Simulator
from tests.unit.simulator.conftest import mail, open_ses
from tests.unit.simulator.webhook import until


def test_messages_and_the_account_are_there_again_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    with Simulator(smtp=False, rate=100, control_rate=0, keep=2, save=file) as simulator:
        ses = open_ses(simulator.url)
        for number in range(3):
            ses.send_email(**mail(f"r{number}@example.com", EmailTags=[{"Name": "message-id", "Value": f"m{number}"}]))
        ses.put_suppressed_destination(EmailAddress="gone@example.com", Reason="BOUNCE")
        ses.create_email_template(TemplateName="t", TemplateContent={"Subject": "Hi {{name}}", "Text": "x"})
        ses.create_email_identity(EmailIdentity="example.org")
        ses.create_configuration_set(ConfigurationSetName="c")
        simulator.set_account(rate=7, verified=["example.com"])
        simulator.advance_clock(3600)
        now = simulator.request("GET", "/_sim/clock")["now"]
        before = simulator.messages(fields="at,ses_id,to,tags,subject,text")
    assert file.stat().st_mode & 0o777 == 0o600

    with Simulator(smtp=False, rate=100, control_rate=0, keep=2, save=file) as simulator:
        ses = open_ses(simulator.url)
        assert simulator.messages(fields="at,ses_id,to,tags,subject,text") == before
        assert simulator.account()["rate"] == 7
        assert simulator.account()["verified"] == ["example.com"]
        assert simulator.account()["used"] == 3
        assert simulator.request("GET", "/_sim/clock")["now"] >= now
        assert ses.get_suppressed_destination(EmailAddress="gone@example.com")
        assert ses.get_email_template(TemplateName="t")["TemplateContent"]["Text"] == "x"
        assert ses.get_email_identity(EmailIdentity="example.org")
        assert ses.get_configuration_set(ConfigurationSetName="c")
        simulator.advance_clock(23 * 3600)
        assert simulator.account()["used"] == 0


def test_saving_goes_on_after_a_disk_that_could_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with Simulator(smtp=False, save=folder / "state.json") as simulator:
        shutil.rmtree(folder)  # it may have been saved already
        open_ses(simulator.url).send_email(**mail())
        time.sleep(2.5)
        assert len(simulator.messages()) == 1
        folder.mkdir()
        until((folder / "state.json").exists)


def test_what_the_control_api_changed_is_saved_too(tmp_path: Path) -> None:
    file = tmp_path / "state.json"

    def saved() -> dict[str, Any]:
        state: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"messages": []}
        return state

    with Simulator(smtp=False, save=file) as simulator:
        ses = open_ses(simulator.url)
        ses.send_email(**mail("old@example.com"))
        until(lambda: [each["recipients"] for each in saved()["messages"]] == [["old@example.com"]])
        simulator.reset()
        ses.send_email(**mail("new@example.com"))
        until(lambda: [each["recipients"] for each in saved()["messages"]] == [["new@example.com"]])
        simulator.set_account(rate=3)
        until(lambda: saved()["accounts"]["us-east-1"]["terms"]["rate"] == 3)


def test_little_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    simulator = Simulator(smtp=False, save=file)
    simulator.start()
    open_ses(simulator.url).send_email(**mail())
    until(file.exists)
    process = simulator._process
    assert process is not None
    process.kill()
    process.wait()
    simulator.stop()

    with Simulator(smtp=False, save=file) as again:
        assert len(again.messages()) == 1


def test_an_end_in_the_middle_of_saving_saves_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    simulator = Simulator(smtp=False, rate=1000, save=file)
    simulator.start()
    ses = open_ses(simulator.url)
    large = mail("large@example.com")
    large["Content"]["Simple"]["Body"]["Text"]["Data"] = "x" * 1_000_000
    for _ in range(40):
        ses.send_email(**large)
    sent = 40

    def is_saving() -> bool:
        nonlocal sent
        if (file.with_name("state.json.partial")).exists():
            return True
        if file.exists():
            # It was done before anybody looked.
            ses.send_email(**mail())
            sent += 1
        return False

    until(is_saving)
    ses.send_email(**mail("last@example.com"))
    process = simulator._process
    assert process is not None
    process.terminate()
    assert process.wait(60) == 0
    simulator.stop()

    saved = json.loads(file.read_text())["messages"]
    assert (len(saved), saved[-1]["recipients"]) == (sent + 1, ["last@example.com"])
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 2}', '{"version": 1, "clock": {}}'])
def test_a_file_that_is_no_state_is_left_alone_and_explained(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(damage)
    command = [sys.executable, "-m", "mailer.simulator", "--port", "0", "--save", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert ended.returncode == 1
    assert str(file) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert file.read_text() == damage


def test_no_link_is_followed_that_somebody_put_where_it_writes(tmp_path: Path) -> None:
    state, ready, victim = tmp_path / "state.json", tmp_path / "ready.json", tmp_path / "victim"
    victim.write_text("whole")
    for each in (state, ready):
        each.with_name(f"{each.name}.partial").symlink_to(victim)
    ready.symlink_to(victim)
    command = [sys.executable, "-m", "mailer.simulator", "--port", "0", "--save", str(state)]
    with subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(60) == 0
    assert victim.read_text() == "whole"
    assert {each.name for each in tmp_path.iterdir() if not each.is_symlink()} == {"state.json", "ready.json", "victim"}
