"""This host's AWS credentials. A separate thread looks them up; signers read the last result.

botocore reads most sources once and keeps the result for the life of its session. It refreshes expiring credentials
inside the call that needs them. It refreshes credentials that live 15 minutes or less inside every call. Here no signer
waits. Each look-up uses a new session, so it finds rotated credentials: a file, an SSO login, a web identity's token,
the output of a process.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import botocore.credentials
import botocore.session
from botocore.exceptions import NoCredentialsError
from botocore.loaders import JSONFileLoader

from mailer.account import DEFAULT, Account
from mailer.errors import HostUnfit, SendError
from mailer.ses.clock import AWS
from mailer.ses.errors import credentials_error

if TYPE_CHECKING:
    from mailer.ses.signer import Credentials

PATIENCE_SECONDS = 30.0
"""Seconds that a thread waits at most for the first look-up, if it may wait."""

# Look up expiring credentials again when this fraction of their remaining life is over. In the last half hour do so
# more often: there botocore may treat credentials from instance metadata as valid for longer than they are.
_LEFT_USED = 0.75
_LAST_SECONDS, _LAST_PAUSE_SECONDS = 1800.0, 300.0
_LEAST_PAUSE_SECONDS = 1.0
# The pause after a look-up that failed, or that found credentials SES refuses. It doubles each time.
_FIRST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 1.0, 15.0
# Look-ups repeat for this long after a refusal. Somebody may replace the credentials at any moment, and we cannot watch
# every source for that.
_REFUSED_SECONDS = 120.0
# How often to check the files for changes.
_WATCH_SECONDS = 2.0

_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a look-up, valid until ``expires`` (Unix time). It read ``files`` in this state, or a later one."""

    credentials: Credentials = field(repr=False)
    expires: float = math.inf
    files: Mapping[Path, _Stamp] = field(default_factory=dict)


class _Kept(JSONFileLoader):  # type: ignore[misc]
    """botocore's descriptions of AWS's services, each read once in a process. Reading them takes half of the time that
    a session and its client take.
    """

    load_file = cache(JSONFileLoader.load_file)


_KEPT = _Kept()


def open_session(account: Account = DEFAULT) -> Any:
    """A botocore session for the account. As in all AWS tools except boto3, ``AWS_REGION`` overrides
    ``AWS_DEFAULT_REGION``.
    """
    region = ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)
    session = botocore.session.Session(session_vars={"region": region}, profile=account.aws_profile)
    if account.aws_region:
        session.set_config_variable("region", account.aws_region)
    session.get_component("data_loader").file_loader = _KEPT
    return session


def look_up(account: Account = DEFAULT) -> Found:
    """Ask all the sources of AWS's tools for credentials, from the beginning. Raises botocore's exceptions."""
    session = open_session(account)
    names = (session.get_config_variable("credentials_file"), session.get_config_variable("config_file"))
    files = {file: _stamp(file) for file in (Path(name).expanduser() for name in names if name)}
    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError
    for timeout in ("_advisory_refresh_timeout", "_mandatory_refresh_timeout"):
        # Otherwise botocore asks the source again at once, for credentials that live 15 minutes or less.
        setattr(source, timeout, 0)
    credentials: Credentials = source.get_frozen_credentials()
    # If there is no expiry time, SES's refusal shows that they have expired.
    expiry = getattr(source, "_expiry_time", None)
    return Found(credentials, math.inf if expiry is None else expiry.timestamp(), files)


class CredentialSource:
    """The credentials in force. Thread-safe. Costs nothing before its first use. Do not use one across a fork.

    It looks them up again before they expire, when one of their files changes, and when SES refuses them. If a look-up
    fails, the credentials in force stay until they expire. ``now`` returns Unix time in seconds.
    """

    def __init__(
        self,
        account: Account = DEFAULT,
        *,
        look_up: Callable[[Account], Found] = look_up,
        now: Callable[[], float] = AWS.now,
    ) -> None:
        self._account = account
        self._look_up = look_up
        self._now = now
        self._condition = threading.Condition()
        self._woken = threading.Event()
        self._stopped: threading.Event | None = None  # of the running thread
        self._found: Found | None = None
        self._error: SendError | None = None  # of the last look-up
        self._fruitless = 0  # number of fruitless look-ups in a row
        self._refused_at = self._not_before = -math.inf
        # When the next look-up is due: the first on the monotonic clock, the second in Unix time.
        self._due = self._refresh_at = math.inf

    def current(self, patience: float = 0.0) -> Credentials:
        """A consistent triple for one request.

        If no credentials are in force, wait up to ``patience`` seconds for the look-up. Raises `HostUnfit` or
        `Unreachable`.
        """
        found = self._in_force()
        return found.credentials if found is not None else self._wait(patience)

    def learn(self, error: SendError) -> SendError:
        """``error`` itself, the error of a send. If SES refused the credentials, look them up again."""
        if isinstance(error, HostUnfit):
            with self._condition:
                self._refused_at = time.monotonic()
                self._due = min(self._due, self._not_before)
            self._woken.set()
        return error

    def session(self) -> Any:
        """A botocore session. Its clients sign each call with the credentials in force at that moment."""
        session = open_session(self._account)
        session.register_component("credential_provider", _Current(self))
        return session

    def close(self) -> None:
        """End the thread. A later use starts again from the beginning."""
        with self._condition:
            stopped, self._stopped = self._stopped, None
            self._found = self._error = None
        if stopped is not None:
            stopped.set()
            self._woken.set()

    def _in_force(self) -> Found | None:
        found = self._found
        return found if found is not None and found.expires > self._now() else None

    def _wait(self, patience: float) -> Credentials:
        with self._condition:
            if self._stopped is None:
                self._stopped = threading.Event()
                threading.Thread(target=self._run, args=(self._stopped,), name="credentials", daemon=True).start()
            elif self._error is None and self._in_force() is None:
                # They expired while this machine was suspended.
                self._due = -math.inf
                self._woken.set()
            self._condition.wait_for(lambda: self._in_force() or self._error, patience)
            found, error = self._in_force(), self._error
        if found is not None:
            return found.credentials
        if error is None:
            raise credentials_error(TimeoutError(f"AWS credentials are still being looked up after {patience:g} s"))
        raise type(error)(error.code, error.detail) from error

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            found, error = None, None
            try:
                found = self._look_up(self._account)
            except Exception as caught:  # noqa: BLE001 - whatever it is, the next look-up may do better
                error = credentials_error(caught)
            with self._condition:
                if stopped.is_set():
                    return
                self._keep(found, error)
                self._condition.notify_all()
            self._pause(stopped)

    def _keep(self, found: Found | None, error: SendError | None) -> None:
        """Put the result in force, and plan the next look-up."""
        now, self._error = time.monotonic(), error
        if found is not None and (self._found is None or found.credentials != self._found.credentials):
            self._refused_at = -math.inf
        is_fruitless = found is None or now - self._refused_at < _REFUSED_SECONDS
        self._fruitless = self._fruitless + 1 if is_fruitless else 0
        self._not_before = now + min(_MOST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(self._fruitless, 10) / 2)
        self._due, self._refresh_at = self._not_before if is_fruitless else math.inf, math.inf
        if found is None:
            return
        left = found.expires - self._now()
        if left <= 0:
            # They have expired by this host's clock, which may be wrong. Use them, and let SES decide.
            found = replace(found, expires=math.inf)
            left = _LAST_PAUSE_SECONDS
        pause = left * _LEFT_USED if left > _LAST_SECONDS else min(left * _LEFT_USED, _LAST_PAUSE_SECONDS)
        self._refresh_at = self._now() + max(_LEAST_PAUSE_SECONDS, pause)
        self._found = found

    def _pause(self, stopped: threading.Event) -> None:
        """Wait until the next look-up is due."""
        while True:
            self._woken.clear()
            wait = min(_WATCH_SECONDS, self._due - time.monotonic(), self._refresh_at - self._now())
            found = self._found if self._error is None else None
            files = found.files.items() if found is not None else ()
            if stopped.is_set() or wait <= 0 or any(_stamp(file) != stamp for file, stamp in files):
                return
            self._woken.wait(wait)


class _Current(botocore.credentials.Credentials):  # type: ignore[misc]
    """The credentials of a source, as botocore's signers read them. It replaces botocore's chain of providers, too."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self.method = "mailer"
        self.account_id = None

    def load_credentials(self) -> Self:
        return self

    def get_frozen_credentials(self) -> Credentials:
        return self._source.current(PATIENCE_SECONDS)


def _stamp(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
