"""CSV files: what is read, and what is reported."""

from __future__ import annotations

import csv
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.errors import InvalidMessage, Unwritable
from mailer.mail.recipient import Recipient
from mailer.producer.bad_rows import REPORT_COLUMNS
from mailer.producer.csv_file import CsvRecipients, import_csv
from mailer.producer.producer import Producer
from tests.support.content import structured
from tests.unit.producer.conftest import Account

LETTER: dict[str, Any] = {"sender": "n@example.com", "subject": "Hello", "text": "Hi"}
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def read(folder: Path, data: bytes) -> tuple[list[Recipient], list[dict[str, str]]]:
    path, report = folder / "in.csv", folder / "bad.csv"
    path.write_bytes(data)
    report.unlink(missing_ok=True)
    with CsvRecipients(path, report) as rows:
        recipients = list(rows)
    return recipients, reported(report)


def reported(report: Path) -> list[dict[str, str]]:
    if not report.exists():
        return []
    with report.open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize(
    "data",
    [
        b"to,name\na@example.com,Jane\n",
        b"to,name\r\na@example.com,Jane",
        b"name,EMAIL\nJane,a@example.com\n",
        b"\xef\xbb\xbfto;name\na@example.com;Jane\n",
        b"to\tname\na@example.com\tJane\n",
        b'"to","name"\n\n" a@example.com ","Jane"\n\n',
    ],
)
def test_columns_are_found_by_name_whatever_the_delimiter(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) == ([Recipient("a@example.com", {"name": "Jane"})], [])


def test_to_goes_before_email(tmp_path: Path) -> None:
    [recipient], _ = read(tmp_path, b"email,to\nb@example.com,a@example.com\n")
    assert recipient == Recipient("a@example.com", {"email": "b@example.com"})


def test_column_names_become_names_of_variables(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("to,First name,2nd,Straße\na@example.com,1,2,3\n", encoding="utf-8")
    with CsvRecipients(path, tmp_path / "bad.csv") as rows:
        assert rows.variables == ("First_name", "_2nd", "Straße")


def test_a_key_column_is_the_idempotency_key(tmp_path: Path) -> None:
    recipients, _ = read(tmp_path, b"to,idempotency_key\na@example.com,k1\nb@example.com,\n")
    assert [recipient.idempotency_key for recipient in recipients] == ["k1", None]


def test_bad_rows_are_reported_by_the_line_they_start_on(tmp_path: Path) -> None:
    data = (
        b"to,name\n"
        b'a@example.com,"two\nlines"\n'
        b"b@example.com\n"
        b"\n"
        b"c@example.com,x,y\n"
        b"d@example.com,\xff\xfe\n"
        b'e@example.com,"a"b\n'
        b'f@example.com,"never closed\n'
        b"g@example.com,good\n"
    )
    recipients, bad = read(tmp_path, data)
    assert [recipient.to for recipient in recipients] == ["a@example.com", "g@example.com"]
    assert recipients[0].variables == {"name": "two\nlines"}
    assert [row["line"] for row in bad] == ["4", "6", "7", "8", "9"]
    assert [row["row"] for row in bad][:2] == ["b@example.com", "c@example.com,x,y"]
    assert bad[2]["row"].encode("utf-8", "surrogateescape") == b"d@example.com,\xff\xfe"
    assert all(row["problem"] and row["remedy"] for row in bad)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no column named to or email"),
        (b"name\nJane\n", "no column named to or email"),
        (b"to,name,name\n", "two columns named name"),
        (b"to,a b,a_b\n", "two columns named a_b"),
        (b"to,,name\n", "no name for column 2"),
        (b'to,"name\n', "cannot be read"),
        ("to,name\n".encode("utf-16"), "not UTF-8"),
        ("to;prénom\n".encode("latin-1"), "not UTF-8"),
        (b'{"to": "' + b"x" * 200_000 + b'"}', "cannot be read"),
    ],
)
def test_a_file_without_a_usable_header_row_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(InvalidMessage, match=re.escape(said)) as caught:
        read(tmp_path, data)
    assert caught.value.field == "header row"


def test_the_report_may_not_be_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"to\na@example.com\n")
    with pytest.raises(InvalidMessage, match="report"):
        CsvRecipients(path, path)
    assert path.read_bytes() == b"to\na@example.com\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=6),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_csv_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, end: str) -> None:
    path = tmp_path / "in.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerow(["to", "a", "b"])
        writer.writerows(["x@example.com", *row] for row in rows)
    recipients, bad = read(tmp_path, path.read_bytes())
    assert bad == []
    assert [tuple(recipient.variables.values()) for recipient in recipients] == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80).map(b"to,a\n".__add__))
def test_every_line_of_any_file_is_read_or_reported(tmp_path: Path, data: bytes) -> None:
    recipients, bad = read(tmp_path, data)
    if data.strip().count(b"\n") and b'"' not in data:
        lines = [line for line in data.replace(b"\r", b"\n").split(b"\n")[1:] if line]
        assert len(recipients) + len(bad) == len(lines)


def test_an_import_sends_good_rows_and_reports_bad_ones(producer: Producer, account: Account, tmp_path: Path) -> None:
    path, report = tmp_path / "in.csv", tmp_path / "bad.csv"
    path.write_bytes(
        b"to,name\na@example.com,A\nnobody,B\nc@example.com\nd@example.com,D\n" + b"e@example.com,\n" * 300
    )
    with CsvRecipients(path, report) as rows:
        result = import_csv(producer, rows, sender="n@example.com", subject="Hello {{ name }}", text="Hi")
        assert rows.bytes_read == rows.size
    assert (result.sent.accepted, result.bad_rows) == (302, 2)
    assert [(row["line"], row["field"], row["row"]) for row in reported(report)] == [
        ("3", "to", "nobody,B"),
        ("4", "row", "c@example.com"),
    ]
    assert [structured(message).subject for message in account.messages("bulk")][:2] == ["Hello A", "Hello D"]


def test_a_report_that_cannot_be_written_is_told_before_anything_is_enqueued(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"to\na@example.com\n")
    with pytest.raises(FileNotFoundError, match=r"nowhere.*bad\.csv"):
        CsvRecipients(tmp_path / "in.csv", tmp_path / "nowhere" / "bad.csv")


def test_a_pipe_is_read_as_a_file_is(producer: Producer, account: Account, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"to\n" + b"".join(b"r%d@example.com\n" % number for number in range(1000)))
    os.close(writing)
    told: list[int] = []
    try:
        with CsvRecipients(Path(f"/dev/fd/{reading}"), tmp_path / "bad.csv") as rows:
            result = import_csv(producer, rows, progress=lambda _rows, _sent: told.append(rows.bytes_read), **LETTER)
    finally:
        os.close(reading)
    assert (result.sent.accepted, set(told)) == (1000, {0})
    assert len(account.messages("bulk")) == 1000


def test_no_report_is_made_where_all_rows_are_good(producer: Producer, tmp_path: Path) -> None:
    path, report = tmp_path / "in.csv", tmp_path / "bad.csv"
    path.write_bytes(b"to\na@example.com\n")
    with CsvRecipients(path, report) as rows:
        import_csv(producer, rows, sender="n@example.com", subject="Hello", text="Hi")
    assert not report.exists()
    assert REPORT_COLUMNS == ("line", "field", "problem", "remedy", "row")


def test_a_long_file_takes_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"

    def peak(number: int) -> int:
        path.write_bytes(b"to,name\n" + b"jane@example.com,Jane\n" * number)
        tracemalloc.reset_peak()
        with CsvRecipients(path, tmp_path / "bad.csv") as rows:
            for _ in rows:
                pass
        return tracemalloc.get_traced_memory()[1] - len(path.read_bytes())

    tracemalloc.start()
    try:
        peak(100)
        small, large = peak(1000), peak(20_000)
    finally:
        tracemalloc.stop()
    assert large < small + 20_000 * 23


def test_a_report_that_cannot_be_written_says_what_is_enqueued(
    tmp_path: Path, producer: Producer, account: Account
) -> None:
    path = tmp_path / "in.csv"
    path.write_text("to\n" + "".join(f"{row}@example.com\n" for row in range(300)) + "nobody\nlast@example.com\n")
    with (
        pytest.raises(Unwritable, match=r"^/dev/full: .*No space left on device.*line 302") as caught,
        CsvRecipients(path, Path("/dev/full")) as rows,
    ):
        import_csv(producer, rows, **LETTER)
    assert "256 messages of this call were enqueued before" in caught.value.__notes__[0]
    assert len(account.envelopes("bulk")) == 256
