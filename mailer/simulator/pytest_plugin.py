"""The pytest plugin: ``ses_simulator``, a private SES for each test. Public API, see docs/simulator.md.

    def test_a_new_customer_is_welcomed(ses_simulator):
        sign_up("ann@example.com")  # the application, with boto3 or smtplib inside

        (message,) = ses_simulator.messages(fields="to,subject")
        assert message == {"to": ["ann@example.com"], "subject": "Welcome"}

One process serves the whole run (one per worker under xdist). Every test finds it as at its start. While a test uses
the fixture, the environment leads AWS's SDKs to the simulator. The credentials there are dummies, so they open nothing
else.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailer.simulator.client import Simulator

_MARKER = (
    "ses_simulator(**terms): the account of this test, as rate=1, quota=200, bucket=1, sandbox=True, "
    "verified=['example.com'], sending_enabled=False; and outcomes={'bounce': 0.1}, faults=[{'kind': 'reset'}]"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    flags = "flags of the SES simulator, as in '--rate 50 --queue events,raw=true'"
    parser.getgroup("ses simulator").addoption(
        "--ses-simulator", metavar="FLAGS", help=f"{flags}; after those of the ini"
    )
    parser.addini("ses_simulator", flags, type="args", default=[])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def ses_simulator_process(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """The process that all tests share. Override it in a conftest.py to start it in another way."""
    # A late import, because every pytest run on a machine with this package loads this file.
    from mailer.simulator.client import Simulator  # noqa: PLC0415

    config = request.config
    flags = [*config.getini("ses_simulator"), *shlex.split(config.getoption("--ses-simulator") or "")]
    with Simulator(arguments=flags) as simulator:
        yield simulator


@pytest.fixture
def ses_simulator(
    ses_simulator_process: Simulator, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Simulator:
    """A private SES for this test: the control API as a ``mailer.simulator.client.Simulator``."""
    simulator = ses_simulator_process
    simulator.reset()
    terms: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("ses_simulator"))):
        terms |= mark.kwargs
    outcomes, faults = terms.pop("outcomes", None), terms.pop("faults", ())
    if terms:
        simulator.set_account(**terms)
    if outcomes:
        simulator.set_outcomes(**outcomes)
    for fault in faults:
        simulator.add_fault(**fault)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        monkeypatch.delenv(name, raising=False)
    # Sets the Region too, whatever it is outside: terms and counts belong to the simulator's Region.
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    return simulator
