"""The short form of ``python -m tests.unit.producer.fuzz``."""

from __future__ import annotations

from tests.unit.producer.fuzz.run import run


def test_malformed_input_is_an_error_a_dead_letter_or_good_mail() -> None:
    report = run(count=1200, seed=7)
    assert report.findings == []
    assert set(report.outcomes["payloads"]) == set(report.outcomes["sends"]) == {"accepted", "refused"}
    assert set(report.outcomes["doors"]) == {"accepted", "dead letter"}
    assert set(report.outcomes["templates"]) == {"accepted", "refused", "refused at rendering", "as Jinja2 does"}
