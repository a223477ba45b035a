"""CSV files whose author means harm to whoever imports them, or who opens the report."""

from __future__ import annotations

import csv
import os
import re
import stat
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from mailer.errors import InvalidMessage
from mailer.producer.csv_file import MAX_ROW_CHARS, CsvRecipients, import_csv
from mailer.producer.producer import Producer
from tests.support.content import structured
from tests.unit.producer.conftest import Account
from tests.unit.producer.test_importing import read, reported

LETTER: dict[str, Any] = {"sender": "n@example.com", "subject": "Hello {{ name }}", "text": "Hi {{ name }}"}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
ANOTHER_USER = 54321


@pytest.mark.parametrize(
    ("row", "written"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1+1)", "'@SUM(1+1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        # A spreadsheet of another country splits the row at another delimiter.
        ("a;=1+1", "a;'=1+1"),
        ('a;"=1+1"', 'a;"\'=1+1"'),
        ("\uff1d1+1", "'\uff1d1+1"),
        # Numbers are no formulas.
        ("a;-12.5;+49 (30) 123/4", "a;-12.5;+49 (30) 123/4"),
        ("a=b;c@example.com", "a=b;c@example.com"),
    ],
)
def test_what_a_spreadsheet_would_take_for_a_formula_begins_with_an_apostrophe(
    tmp_path: Path, row: str, written: str
) -> None:
    _, bad = read(tmp_path, f"to,name\n{row}\n".encode())
    assert [each["row"] for each in bad] == [written]


def test_no_cell_of_a_report_is_a_formula_wherever_its_text_comes_from(
    producer: Producer, account: Account, tmp_path: Path
) -> None:
    path, report = tmp_path / "in.csv", tmp_path / "bad.csv"
    path.write_text('to,=cmd|calc\n=cmd|calc,x\n"@a",=1\nb@example.com\n')
    with CsvRecipients(path, report) as rows:
        import_csv(producer, rows, **{**LETTER, "subject": "Hello"})
    cells = [cell for row in csv.reader(report.open()) for cell in row]
    assert len(cells) == 20
    assert [cell for cell in cells if cell.startswith(("=", "@", "+", "-", "\t"))] == []
    assert account.messages("bulk") == []


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_the_report_is_for_whoever_may_read_the_source(tmp_path: Path, mode: int) -> None:
    path, report = tmp_path / "in.csv", tmp_path / "bad.csv"
    path.write_text("to\nnobody,x\n")
    path.chmod(mode)
    for left_open in (False, True):
        if left_open:
            report.chmod(0o666)
        with CsvRecipients(path, report) as rows:
            assert list(rows) == []
        assert stat.S_IMODE(report.stat().st_mode) == mode | 0o200


@needs_root
def test_the_report_is_not_for_a_group_that_has_nothing_to_do_with_the_source(tmp_path: Path) -> None:
    path, report = tmp_path / "in.csv", tmp_path / "bad.csv"
    path.write_text("to\nnobody,x\n")
    path.chmod(0o640)
    os.chown(path, -1, ANOTHER_USER)
    with CsvRecipients(path, report) as rows:
        assert list(rows) == []
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


@needs_root
def test_a_link_that_another_user_has_planted_is_not_written_through(tmp_path: Path) -> None:
    path, report, victim = tmp_path / "in.csv", tmp_path / "bad.csv", tmp_path / ".profile"
    path.write_text("to\nrm -rf ~,x\n")
    victim.write_text("precious")
    report.symlink_to(victim)
    os.chown(report, ANOTHER_USER, -1, follow_symlinks=False)
    os.chown(path, ANOTHER_USER, -1)
    with pytest.raises(InvalidMessage, match="another user's"):
        CsvRecipients(path, report)
    assert victim.read_text() == "precious"


@needs_root
def test_a_file_that_another_user_has_planted_gets_no_rows(tmp_path: Path) -> None:
    path, report = tmp_path / "in.csv", tmp_path / "bad.csv"
    path.write_text("to\nnobody,x\n")
    report.touch(0o666)
    os.chown(report, ANOTHER_USER, -1)
    with pytest.raises(InvalidMessage, match=rf"another user's \(uid {ANOTHER_USER}\)"):
        CsvRecipients(path, report)
    # Whoever owns the source has its rows.
    os.chown(path, ANOTHER_USER, -1)
    with CsvRecipients(path, report) as rows:
        assert list(rows) == []
    assert len(reported(report)) == 1


def test_a_file_that_has_another_name_is_not_written(tmp_path: Path) -> None:
    path, report, victim = tmp_path / "in.csv", tmp_path / "bad.csv", tmp_path / ".profile"
    path.write_text("to\nnobody,x\n")
    victim.write_text("precious")
    report.hardlink_to(victim)
    with pytest.raises(InvalidMessage, match="has another name, too"):
        CsvRecipients(path, report)
    assert victim.read_text() == "precious"


def test_a_link_of_ones_own_is_followed(tmp_path: Path) -> None:
    path, report, target = tmp_path / "in.csv", tmp_path / "bad.csv", tmp_path / "elsewhere.csv"
    path.write_text("to\nnobody,x\n")
    target.touch()
    report.symlink_to(target)
    with CsvRecipients(path, report) as rows:
        assert list(rows) == []
    assert len(reported(target)) == 1


def test_a_line_of_any_length_takes_little_memory_and_costs_one_row(tmp_path: Path) -> None:
    path, report = tmp_path / "in.csv", tmp_path / "bad.csv"
    with path.open("wb") as out:
        out.write(b"to,name\n")
        for _ in range(48):
            out.write(b"x" * MAX_ROW_CHARS)
        out.write(b"\na@example.com,A\n")
    tracemalloc.start()
    try:
        with CsvRecipients(path, report) as rows:
            recipients = list(rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [recipient.to for recipient in recipients] == ["a@example.com"]
    [bad] = reported(report)
    assert (bad["line"], len(bad["row"])) == ("2", 100_004)
    assert "longer than 1,048,576 characters" in bad["problem"]
    assert peak < 12 * MAX_ROW_CHARS


def test_a_header_row_of_any_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidMessage, match="longer than 1,048,576 characters"):
        read(tmp_path, b"to," + b"x," * MAX_ROW_CHARS + b"y\n")


def test_as_many_columns_as_a_row_can_hold_are_read(tmp_path: Path) -> None:
    # Each was looked for among all before it: as many took minutes.
    names = [f"c{number}" for number in range(18_000)]
    data = f"to,{','.join(names)}\na@example.com{',x' * len(names)}\n".encode()
    [recipient], bad = read(tmp_path, data)
    assert (len(recipient.variables), bad) == (18_000, [])


def test_quotes_that_join_all_lines_cost_no_more_than_the_file_is_long(tmp_path: Path) -> None:
    # Each line opens a quote that the next closes and opens again: whichever is read first, it goes on to the end.
    lines = 60_000
    recipients, bad = read(tmp_path, b"to,name\n" + b'x","\n' * lines + b"a@example.com,A\n")
    assert recipients == []
    joined = re.search(r"It goes on over the ([\d,]+) lines after it", bad[-1]["problem"])
    assert joined is not None
    assert int(bad[-1]["line"]) + int(joined[1].replace(",", "")) == lines + 2
    assert len(bad) < 30


def test_stray_quotes_cost_their_rows_alone(tmp_path: Path) -> None:
    rows = b"".join(
        b'"stray%d@example.com,x\n' % number if number % 300 == 0 else b"r%d@example.com,x\n" % number
        for number in range(1, 6001)
    )
    recipients, bad = read(tmp_path, b"to,name\n" + rows)
    assert (len(recipients), len(bad)) == (5980, 20)


def test_rows_cannot_break_out_of_a_header_nor_bring_a_nul(
    producer: Producer, account: Account, tmp_path: Path
) -> None:
    path, report = tmp_path / "in.csv", tmp_path / "bad.csv"
    path.write_bytes(
        b"to,name,token\n"
        b'a@example.com,"X\nBcc: victim@example.com",t\n'
        b'b@example.com,"X\r\nBcc: victim@example.com",t\n'
        b"c@example.com,X,t>,<mailto:victim@example.com\n"
        b"d@example.com,X\0Y,t\n"
        b"e\0@example.com,X,t\n"
        b'"f@example.com\nBcc: victim@example.com",X,t\n'
        b"g@example.com,{{ 7 * 7 }},t\n"
    )
    letter = {**LETTER, "list_unsubscribe": "https://example.com/u/{{ token }}"}
    with CsvRecipients(path, report) as rows:
        result = import_csv(producer, rows, **letter)
    assert (result.sent.accepted, result.bad_rows) == (1, 6)
    [message] = account.messages("bulk")
    assert (message.recipient.header, structured(message).subject, structured(message).text) == (
        "g@example.com",
        "Hello {{ 7 * 7 }}",
        "Hi {{ 7 * 7 }}",
    )


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("to,TO", None),
        ("to,email,Email", ("email", "Email")),
        ("to,__type__,__value__", ("__type__", "__value__")),
        ("to,self,range,loop,__class__", ("self", "range", "loop", "__class__")),
        ("to,idempotency_key,Idempotency_Key", None),
    ],
)
def test_columns_that_collide_are_refused_and_others_are_mere_names(
    tmp_path: Path, header: str, names: tuple[str, ...] | None
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"{header}\n")
    if names is None:
        with pytest.raises(InvalidMessage, match="two columns named"):
            CsvRecipients(path, tmp_path / "bad.csv")
    else:
        with CsvRecipients(path, tmp_path / "bad.csv") as rows:
            assert rows.variables == names
