"""Credentials that are replaced under load, and such as live for minutes only."""

from __future__ import annotations

import time
from pathlib import Path

from mailer.testbed.environment import ACCESS_KEY, SECRET_KEY
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

AGAIN_SECONDS = 60.0
OF_THE_RATE, OF_THE_USUAL_RATE = 0.99, 0.5
"""Of what is allowed; and in short, where the machine may be busy, of what was sent just before with a key that does
not expire. Looking credentials up at every send leaves a fiftieth."""
_KEPT_WAITING_SECONDS = 8.0
_LIFETIMES = (840, 20)
_TAKES_SECONDS = 0.3
_MEASURED_SECONDS, _SHORT_MEASURED_SECONDS = 60.0, 5.0
_WARM_SECONDS = 2.0


def _environment(folder: Path) -> dict[str, str]:
    """Workers find their credentials in files of this folder."""
    _write_key(folder, ACCESS_KEY, SECRET_KEY)
    files = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}
    return {"AWS_ACCESS_KEY_ID": "", **{name: str(folder / file) for name, file in files.items()}}


def _write_key(folder: Path, key: str, secret: str) -> None:
    _replace(folder / "credentials", f"[default]\naws_access_key_id={key}\naws_secret_access_key={secret}\n")


def _write_process(folder: Path, lifetime: int) -> None:
    """Credentials come from a command from now on."""
    expires = f"$(date -u -d '+{lifetime} seconds' +%Y-%m-%dT%H:%M:%SZ)"
    fields = f'"AccessKeyId": "{ACCESS_KEY}", "SecretAccessKey": "{SECRET_KEY}", "SessionToken": "t"'
    answer = f'{{"Version": 1, {fields}, "Expiration": "{expires}"}}'
    _replace(folder / "command", f"sleep {_TAKES_SECONDS}\ncat <<END\n{answer}\nEND\n")
    _replace(folder / "config", f"[default]\ncredential_process=/bin/sh {folder / 'command'}\n")
    (folder / "credentials").unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def rotate(trial: Trial) -> None:
    """Revoke the key, and write the new one: at once, or when all hosts have been refused for a while."""
    stage = trial.stage
    slowest = 0.0
    for number in trial.pulls():
        trial.pause()
        key, secret = f"AKIASOAK{number}", f"secret {number}"
        stage.simulator.set_secrets({key: secret})
        trial.pull()
        if trial.chance.random() < 0.5:
            time.sleep(_KEPT_WAITING_SECONDS)
        _write_key(stage.folder, key, secret)
        slowest = max(slowest, trial.until_mail_flows(2 * AGAIN_SECONDS))
    trial.expect("sending again after the new key is there", slowest, AGAIN_SECONDS, " s")


def expire(trial: Trial) -> None:
    """Have a command give credentials of a few minutes, then of seconds."""
    stage = trial.stage
    is_long = trial.size == SHORT_LIVED.long
    seconds = _MEASURED_SECONDS if is_long else _SHORT_MEASURED_SECONDS
    stage.simulator.set_secrets({ACCESS_KEY: SECRET_KEY})
    _write_key(stage.folder, ACCESS_KEY, SECRET_KEY)
    usual = _rate(trial, seconds)
    trial.note(f"{usual:.1f} a second with a key that does not expire")
    full, part = (stage.wanted.rate, OF_THE_RATE) if is_long else (usual, OF_THE_USUAL_RATE)
    for lifetime in _LIFETIMES:
        _write_process(stage.folder, lifetime)
        trial.pull()
        rate = _rate(trial, seconds)
        trial.note(f"{rate:.1f} a second with credentials of {lifetime} s")
        trial.expect(
            f"part of the rate that is used, with credentials of {lifetime} s", rate / full, part, at_most=False
        )


def _rate(trial: Trial, seconds: float) -> float:
    """Recipients a second that SES accepts, over so long, once the credentials are in use."""
    trial.until_mail_flows(2 * AGAIN_SECONDS)
    time.sleep(_WARM_SECONDS)
    before = trial.stage.simulator.stats()
    time.sleep(seconds)
    after = trial.stage.simulator.stats()
    return float((after["recipients"] - before["recipients"]) / (after["now"] - before["now"]))


ROTATED = Fault(
    name="rotated",
    what="the key in the credentials file replaced and the old one revoked, or the other way round",
    run=rotate,
    long=Size(messages=24_000, times=4),
    short=Size(messages=3_000, times=1),
    set=Set(
        rate=200,
        workers=2,
        environment=_environment,
        simulator={"secret": f"{ACCESS_KEY}:{SECRET_KEY}"},
    ),
)
SHORT_LIVED = Fault(
    name="short-lived",
    what=f"credentials of {_LIFETIMES[0]} s, then of {_LIFETIMES[1]} s, from a command that takes {_TAKES_SECONDS} s",
    run=expire,
    long=Size(messages=44_000, times=1),
    short=Size(messages=8_000, times=1),
    set=ROTATED.set,
)
