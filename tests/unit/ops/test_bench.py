"""The parts of `ops.bench` that figures rest on: sinks that count, the report, and whose a sample is."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest

from mailer.simulator.certificate import Certificate
from mailer.testbed.stats import quantile
from ops.bench.figure import Figure, Verdict
from ops.bench.figures.budget import REST, read
from ops.bench.meter import ratio
from ops.bench.plot import Bars, Panel, Panels, short
from ops.bench.report import Report
from ops.bench.sinks import PythonSink, Sink, open_sink

REQUEST = b"POST /v2/email/outbound-emails HTTP/1.1\r\nHost: sink\r\nContent-Length: 5\r\n\r\nhello"


def a_figure(name: str, measured: float = 3.0) -> Figure:
    return Figure(
        name,
        "what it is",
        ["who", "mails/s"],
        rows=[["ours", 1234.5], ["theirs", 2]],
        verdicts=[Verdict("against theirs", measured, 2.0, "×")],
        notes=["a note"],
        plot=Bars("mails/s", {"ours": 1234.5, "theirs": 2.0}),
    )


def answers(connection: socket.socket, count: int) -> None:
    for _ in range(count):
        connection.sendall(REQUEST)
        received = b""
        while not received.endswith(b'-000000"}'):
            chunk = connection.recv(4096)
            assert chunk, received
            received += chunk
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")


def port_of(sink: Sink) -> int:
    return int(sink.url.rpartition(":")[2])


@pytest.mark.parametrize("kind", ["cheapest", "python"])
def test_a_sink_answers_on_a_kept_connection_and_counts(kind: str, tmp_path: Path) -> None:
    with open_sink(tmp_path) if kind == "cheapest" else PythonSink(tmp_path) as sink:
        with socket.create_connection(("127.0.0.1", port_of(sink)), timeout=10) as connection:
            answers(connection, 3)
            assert sink.count() == 3
            answers(connection, 2)
        assert (sink.count(), sink.count()) == (5, 5)


@pytest.mark.parametrize("kind", ["cheapest", "python"])
def test_a_sink_tells_full_handshakes_from_resumed_ones(kind: str, tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.chain_file.read_bytes() + certificate.key_file.read_bytes())
    context = ssl.create_default_context(cafile=certificate.ca_file)
    with open_sink(tmp_path, both) if kind == "cheapest" else PythonSink(tmp_path, both) as sink:
        session: ssl.SSLSession | None = None
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", port_of(sink)), timeout=10)
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
                answers(connection, 2)
                session = connection.session
        assert sink.handshakes() == (1, 1)
        assert sink.count() == 4


def test_a_report_keeps_what_was_not_measured_again_in_its_order(tmp_path: Path) -> None:
    report = Report(tmp_path, ["first", "second"])
    report.add(a_figure("second", measured=1.0), 12.0, quick=False)
    report.add(a_figure("first"), 3.0, quick=True)
    report.add(a_figure("second"), 14.0, quick=False)
    text = (tmp_path / "bench.md").read_text()
    assert text.index("## first: what it is") < text.index("## second: what it is")
    assert "| ours | 1,234 |" in text
    assert text.count("- met: against theirs: 3× (target ≥ 2×)") == 2
    assert "missed" not in text
    assert "a quick run" in text
    assert "14 s" in text
    assert list(json.loads((tmp_path / "bench.json").read_text())) == ["first", "second"]
    assert (tmp_path / "bench-first.svg").read_text().startswith("<?xml")


def test_lines_are_drawn_too(tmp_path: Path) -> None:
    panels = [Panel(f"panel {number}", "x", [1, 2500], {"": [1.0, 2.0]}) for number in range(4)]
    Panels("four", panels).draw(tmp_path / "four.svg")
    drawn = (tmp_path / "four.svg").read_text()
    assert "panel 3" in drawn
    assert ">2.5k<" in drawn
    assert [short(each) for each in (0.1, 20, 999, 1000, 5_000_000)] == ["0.1", "20", "999", "1k", "5M"]


def test_a_sample_belongs_to_the_part_of_its_deepest_known_frame(tmp_path: Path) -> None:
    loop = "asynloop (celery/worker/loops.py:100);Hub.create_loop (kombu/asynchronous/hub.py:370)"
    stacks = tmp_path / "stacks.txt"
    stacks.write_text(
        f"{loop};Template.render (mailer/mail/template/__init__.py:9);run (mailer/mail/template/statements.py:3) 5\n"
        f"{loop};CurlConnection._send (mailer/ses/curl/connection.py:9) 7\n"
        f"{loop};Parts.request_for (mailer/ses/curl/parts.py:9);Signer.sign (mailer/ses/signer.py:5) 3\n"
        "run (threading.py:1);wait (somewhere.py:2) 100\n"
    )
    in_user, in_kernel = read(stacks)
    assert in_user == {"rendering": 5, "signing": 3}
    assert in_kernel == {"socket to SES: writing": 7}
    assert REST not in in_user


def test_ratios_are_of_each_round_and_quantiles_of_what_was_seen() -> None:
    assert ratio([10.0, 40.0, 90.0], [10.0, 20.0, 30.0]) == 2.0
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 3.0, 4.0]
