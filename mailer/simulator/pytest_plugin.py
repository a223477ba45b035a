"""The pytest plugin: ``ses_simulator``, an SES of one's own for each test. Public API, see docs/simulator.md.

    def test_a_new_customer_is_welcomed(ses_simulator):
        sign_up("ann@example.com")  # the application, with boto3 or smtplib inside

        (message,) = ses_simulator.messages(fields="to,subject")
        assert message == {"to": ["ann@example.com"], "subject": "Welcome"}

One process serves the whole run (each worker's, under xdist) and is as at its start for every test. While a test uses
the fixture, AWS's SDKs find it through the environment, and nothing else: the credentials there are none.
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
    """The process that all tests share. Override it in a conftest.py to start it otherwise."""
    # Not at the top: every pytest run on a machine with this package loads this file.
    from mailer.simulator.client import Simulator  # noqa: PLC0415

    config = request.config
    flags = [*config.getini("ses_simulator"), *shlex.split(config.getoption("--ses-simulator") or "")]
    with Simulator(arguments=flags) as simulator:
        yield simulator


@pytest.fixture
def ses_simulator(
    ses_simulator_process: Simulator, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Simulator:
    """An SES of this test's own: the control API as a ``mailer.simulator.client.Simulator``."""
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
    # The Region too, whatever it is outside: terms and counts are of this one.
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    return simulator
