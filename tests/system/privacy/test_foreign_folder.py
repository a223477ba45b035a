"""In a folder that others may write to, as /tmp: nothing that lies there is run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from mailer.testbed.waiting import until
from tests.support.command import environment
from tests.support.running import running

MAILER = str(Path(sys.executable).parent / "mailer")
PLANTED = (
    *("mailer", "celery", "kombu", "redis", "orjson", "idna", "jinja2", "click", "flower", "tornado", "honcho"),
    *("celeryconfig", "flowerconfig", "uvicorn", "starlette", "billiard", "logging_config"),
)


def test_nothing_in_the_current_folder_is_run(tmp_path: Path) -> None:
    folder, ran = tmp_path / "folder", tmp_path / "ran"
    folder.mkdir()
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write({name!r} + ' ')\n")
    env = environment()
    with running([MAILER, "up", "--processes", "1", "--simulator-rate", "50"], env, folder) as up:
        up.wait_for("Stop: +Ctrl-C")
        up.wait_for("Flower +http")
        send = ["send", "--to", "a@example.com", "--from", "me@example.com", "--subject", "Hi", "--text", "Hi"]
        subprocess.run([MAILER, *send], env=env, cwd=folder, check=True, capture_output=True)

        def sent() -> bool:
            status = subprocess.run([MAILER, "status"], env=env, cwd=folder, check=True, capture_output=True, text=True)
            return "1 used in 24 hours" in status.stdout

        until(sent)
        assert "was not ready" not in "\n".join(up.lines)
        assert up.stop(signal.SIGINT) == 0
    assert not ran.exists(), ran.read_text()
