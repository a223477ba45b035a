"""The same over https: what TLS costs a mail, and whether connections are reused and sessions resumed."""

from __future__ import annotations

import os
import time

from mailer.mail.address import parse
from mailer.mail.content import Structured
from mailer.mail.message import Message
from mailer.ses.curl.transport import CurlTransport
from mailer.simulator.certificate import Certificate
from mailer.testbed.ses import UNLIMITED
from ops.bench.bench import Bench
from ops.bench.contenders.contender import Sample
from ops.bench.figure import Figure, Verdict
from ops.bench.figures.compare import BULLMQ, FLOOR, NAIVE, OURS, Seen, measure
from ops.bench.meter import middle, ratio
from ops.bench.sinks import Sink, open_sink

ROUNDS = 2
CONTENDERS = (OURS, NAIVE, BULLMQ, FLOOR)
RECONNECTS = 200
_MAIL = Message("x", parse("b@example.com"), Structured(sender="a@example.com", subject="-", text="-"))


def run(bench: Bench) -> Figure:
    made = Certificate.make(bench.folder)
    both = bench.folder / "server-and-key.pem"
    both.write_bytes(made.chain_file.read_bytes() + made.key_file.read_bytes())
    environment = {"AWS_CA_BUNDLE": str(made.ca_file)}
    handshakes: dict[str, list[tuple[int, int]]] = {}
    plain: Seen = {}
    tls: Seen = {}
    with open_sink(bench.folder) as sink, open_sink(bench.folder, both) as tls_sink:
        for _ in range(1 if bench.quick else ROUNDS):
            for contender in CONTENDERS:
                for name, samples in measure(bench, sink, [contender], 1)[0].items():
                    plain.setdefault(name, []).extend(samples)
                before = tls_sink.handshakes()
                found, _ = measure(bench, tls_sink, [contender], 1, environment)
                after = tls_sink.handshakes()
                for name, samples in found.items():
                    tls.setdefault(name, []).extend(samples)
                    handshakes.setdefault(name, []).append((after[0] - before[0], after[1] - before[1]))
        full, resumed, milliseconds = _reconnect(bench, tls_sink, environment)
    figure = Figure(
        "tls",
        "the same mails over https and http, in turn",
        [
            *("sent by", "mails/s", "per CPU s", "of http's", "CPU ms", "mailer is"),
            *("full handshakes", "resumed", "mails each"),
        ],
    )
    ours = _per_cpu(tls[OURS.name])
    for contender in CONTENDERS:
        if contender.name not in tls:
            continue
        its = _per_cpu(tls[contender.name])
        counts = handshakes[contender.name]
        figure.rows.append(
            [
                *(contender.name, middle([each.per_second for each in tls[contender.name]]), middle(its)),
                *(ratio(its, _per_cpu(plain[contender.name])), 1000 / middle(its), ratio(ours, its)),
                *(middle([each[0] for each in counts]), middle([each[1] for each in counts])),
                contender.amount * (0.2 if bench.quick else 1) / middle([sum(each) for each in counts]),
            ]
        )
    figure.verdicts = [
        Verdict("mails per CPU-second over https, of http's", ratio(ours, _per_cpu(plain[OURS.name])), 0.8, "×"),
        Verdict("handshakes of ours that resumed, of connections made again", resumed / (full + resumed), 0.9, "×"),
    ]
    again = f"{RECONNECTS} connections made again, a mail on each: {full} full handshakes, {resumed} resumed"
    figure.notes = [
        f"The sink is {sink.kind} with a certificate of its own, verified by each (AWS_CA_BUNDLE).",
        f"{again}, {milliseconds:.2f} ms of our CPU each.",
        "Handshakes: as the sink saw them, warm-up included.",
    ]
    return figure


def _reconnect(bench: Bench, sink: Sink, environment: dict[str, str]) -> tuple[int, int, float]:
    """Full and resumed handshakes, and CPU ms each, of a transport that has to connect for every mail."""
    before = sink.handshakes()
    kept = dict(os.environ)
    os.environ.update(bench.environment(rate=UNLIMITED, sink=sink.url, **environment))
    try:
        with CurlTransport() as transport:
            transport.prepare()
            cpu = time.process_time()
            for _ in range(RECONNECTS):
                transport.send(_MAIL)
                transport.close()
            cpu = time.process_time() - cpu
    finally:
        os.environ.clear()
        os.environ.update(kept)
    full, resumed = sink.handshakes()
    return full - before[0], resumed - before[1], 1000 * cpu / RECONNECTS


def _per_cpu(samples: list[Sample]) -> list[float]:
    return [each.per_cpu_second for each in samples]
