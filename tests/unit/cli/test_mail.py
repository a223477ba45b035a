"""``mailer send`` and ``mailer import``."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import redis

from mailer.mail.raw import Raw
from mailer.operations.status import read_status
from mailer.queue.keys import Keys
from mailer.settings import Settings
from mailer.testbed.waiting import until
from tests.support.command import Mailer, command

NOTHING = "mailer: --text: is missing or empty, and --html too. Give --text, --html, --text-file or --html-file\n"
MESSAGE = ("--from", "me@example.com", "--subject", "Hello")


def bodies(client: redis.Redis, settings: Settings, lane: str) -> list[dict[str, object]]:
    """The arguments of the messages in a lane, the first to be sent first."""
    envelopes = client.lrange(Keys.of(settings).lane(lane), 0, -1)
    return [json.loads(json.loads(envelope)["body"])[1] for envelope in reversed(envelopes)]


def test_send_prints_an_id_for_each_recipient_and_enqueues_each(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("attached")
    done = mailer(
        *("send", "--to", "a@example.com", "--to", "b@example.com", *MESSAGE, "--text", "Hi", "--lane", "bulk"),
        *("--tag", "campaign=autumn", "--header", "X-Kind=note", "--attach", "note.txt", "--reply-to", "r@example.com"),
    )
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split())) == 2
    first, second = bodies(client, settings, "bulk")
    assert (first["to"], second["to"]) == ("a@example.com", "b@example.com")
    assert first["tags"] == {"campaign": "autumn"}


def test_send_takes_bodies_from_files_and_a_time_to_wait_for(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "body.html").write_text("<p>Grüße</p>", encoding="utf-8")
    done = mailer(
        "send", "--to", "a@example.com", *MESSAGE, "--html-file", "body.html", "--send-at", "2030-01-31T09:00Z"
    )
    assert done.returncode == 0, done.stderr
    state = read_status(client, settings)
    assert (state.scheduled, state.waiting) == (1, 0)
    assert state.next_due_at == 1_896_080_400


def test_send_takes_a_whole_mail_from_a_file(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    mail = b"From: me@example.com\r\nTo: list@example.com\r\nSubject: Hello\r\n\r\nGr\xfc\xdfe\r\n"
    (tmp_path / "mail.eml").write_bytes(mail)
    done = mailer("send", "--to", "a@example.com", "--to", "b@example.com", "--raw", "mail.eml", "--tag", "a=b")
    assert done.returncode == 0, done.stderr
    assert [each["to"] for each in bodies(client, settings, "transactional")] == ["a@example.com", "b@example.com"]
    assert client.hvals(Keys.of(settings).content) == [Raw.of(mail, tags={"a": "b"}).encoded]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--subject", "Hello", "--text", "Hi"), "--from: is missing. Write for example --from me@example.com"),
        (("--from", "me@example.com", "--text", "Hi"), "--subject: is missing. Write for example --subject Hello"),
        (MESSAGE, NOTHING.removeprefix("mailer: ").strip()),
        (("--raw", "mail.eml", "--subject", "Hello"), "subject: is given beside --raw. It is in the file"),
        (
            (*MESSAGE, "--html", "letter.html"),
            "--html: looks like the name of a file and .*: letter.html. Use --html-file",
        ),
        ((*MESSAGE, "--text", "misspelled.txt"), "--text: looks like the name of a file and .* Use --text-file"),
        ((*MESSAGE, "--text", "Hi", "--text-file", "mail.eml"), "--text: is given twice, with --text-file"),
        (
            (*MESSAGE, "--text", "Hi", "--to", "nobody"),
            r"to\[1\]: has no @ or nothing before it. Write user@example.com",
        ),
        (
            (*MESSAGE, "--text", "Hi", "--send-at", "tomorrow"),
            "--send-at: 'tomorrow' is not a time. Write 30m, 2h, 18:30",
        ),
        ((*MESSAGE, "--text", "Hi", "--send-at", "2030-01-31T09:00"), "--send-at: '.*' has no offset from UTC. Write"),
        ((*MESSAGE, "--text", "Hi", "--attach", "film.mkv"), "--attach: film.mkv has more than 41,943,040 bytes"),
        ((*MESSAGE, "--text-file", "film.mkv"), "--text-file: film.mkv has more than 41,943,040 bytes"),
        ((*MESSAGE, "--html-file", "film.mkv"), "--html-file: film.mkv has more than 41,943,040 bytes"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_send_refuses_bad_input_with_the_option_and_the_remedy(
    mailer: Mailer, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "mail.eml").write_bytes(b"From: me@example.com\n\nHi\n")
    (tmp_path / "letter.html").write_text("<p>Hi</p>")
    with (tmp_path / "film.mkv").open("wb") as film:
        film.truncate(64 * 1024**3)
    done = mailer("send", "--to", "a@example.com", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert re.match(f"mailer: {said}", done.stderr)


def test_send_takes_a_time_from_now_as_pause_does(mailer: Mailer, client: redis.Redis, settings: Settings) -> None:
    done = mailer("send", "--to", "a@example.com", *MESSAGE, "--text", "Hi", "--send-at", "2h", "--expires-at", "1d")
    assert done.returncode == 0, done.stderr
    due = read_status(client, settings).next_due_at
    assert due is not None
    assert 7100 < due - time.time() <= 7200


def test_send_takes_a_body_of_any_length_in_any_script(mailer: Mailer, client: redis.Redis, settings: Settings) -> None:
    for length in (127, 128, 200, 255, 256):
        body = "ы" * length
        done = mailer("send", "--to", "a@example.com", *MESSAGE, "--text", body, "--lane", "bulk")
        assert done.returncode == 0, done.stderr
        assert bodies(client, settings, "bulk")[-1]["text"] == body


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("notes.txt", "text/plain"),
        ("notes.txt.gz", "application/gzip"),
        ("notes.tar.xz", "application/x-xz"),
        ("notes.txt.Z", "application/octet-stream"),
        ("notes", "application/octet-stream"),
    ],
)
def test_a_compressed_file_is_not_of_the_type_of_what_is_in_it(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path, name: str, content_type: str
) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    done = mailer("send", "--to", "a@example.com", *MESSAGE, "--text", "Hi", "--lane", "bulk", "--attach", name)
    assert done.returncode == 0, done.stderr
    [attachment] = cast("list[dict[str, str]]", bodies(client, settings, "bulk")[0]["attachments"])
    assert attachment["content_type"] == content_type


def test_the_lines_of_a_letter_end_in_line_feeds_alone(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    done = mailer("send", "--to", "a@example.com", *MESSAGE, "--text-file", "letter.txt", "--lane", "bulk")
    assert done.returncode == 0, done.stderr
    assert bodies(client, settings, "bulk")[0]["text"] == "one\ntwo\n"


def test_the_help_shows_how_to_write_a_sender_with_a_name(mailer: Mailer) -> None:
    assert "'Name <user@example.com>'" in mailer("send", "--help").stdout


def test_the_same_idempotency_key_prints_the_first_id_again(mailer: Mailer) -> None:
    arguments = ("send", "--to", "a@example.com", *MESSAGE, "--text", "Hi", "--idempotency-key", "k1")
    assert mailer(*arguments).stdout == mailer(*arguments).stdout


def csv(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("\n".join(("email,name,idempotency_key", *rows, "")), encoding="utf-8")
    (tmp_path / "body.txt").write_text("Dear {{ name }}", encoding="utf-8")
    return path


IMPORT = ("import", "people.csv", *MESSAGE, "--text-file", "body.txt")


def test_import_enqueues_the_good_rows_and_reports_the_bad_ones_with_their_lines(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    csv(
        tmp_path,
        "ann@example.com,Ann,k1",
        "nobody,Nobody,",
        "short@example.com",
        "bob@example.com,Bob,",
        "ann@example.com,Ann,k1",
    )
    done = mailer(*IMPORT)
    assert (done.returncode, done.stdout) == (0, "2 accepted, 2 bad, 1 with a key used before\n")
    assert done.stderr == "mailer: 2 rows were bad and skipped: see people.csv.bad.csv\n"
    report = (tmp_path / "people.csv.bad.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in report] == ["line", "3", "4"]
    assert [body["to"] for body in bodies(client, settings, "bulk")] == ["ann@example.com", "bob@example.com"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ((), NOTHING),
        (("--text-file", "body.txt"), NOTHING),
        (
            ("--text", "letter.txt"),
            "mailer: --text: looks like the name of a file and would be sent as it is: letter.txt. Use --text-file\n",
        ),
    ],
)
def test_an_import_of_nothing_to_say_names_the_options(
    mailer: Mailer, tmp_path: Path, body: tuple[str, ...], said: str
) -> None:
    csv(tmp_path, "ann@example.com,Ann,")
    (tmp_path / "body.txt").write_text("")
    done = mailer("import", "people.csv", *MESSAGE, *body)
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    "text", ["Hi", "Thanks!", "4711", "https://shop.example.com/i.html", "Your invoice is at i.html", "see notes.txt"]
)
def test_a_body_that_names_no_file_is_a_text(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path, text: str
) -> None:
    csv(tmp_path, "ann@example.com,Ann,")
    for done in (
        mailer("import", "people.csv", *MESSAGE, "--text", text),
        mailer("send", "--to", "ann@example.com", *MESSAGE, "--text", text),
    ):
        assert done.returncode == 0, done.stderr
    assert client.llen(Keys.of(settings).lane("bulk")) == client.llen(Keys.of(settings).lane("transactional")) == 1


def test_an_interrupted_import_says_what_is_enqueued(
    account_environment: dict[str, str], client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    csv(tmp_path, *(f"r{number}@example.com,Ann," for number in range(300_000)))
    done = subprocess.Popen(
        command(*IMPORT),
        env=account_environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background has it ignored, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    until(lambda: read_status(client, settings).waiting > 1000)
    done.send_signal(signal.SIGINT)
    _, told = done.communicate(timeout=90)
    assert done.returncode == 130
    enqueued = re.search(r"stopped with at least ([\d,]+) messages enqueued", told)
    assert enqueued is not None, told
    assert 0 < int(enqueued[1].replace(",", "")) <= read_status(client, settings).waiting < 300_000


def test_a_strict_import_with_a_bad_row_enqueues_nothing(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    for rows, line, found in (
        (("ann@example.com,Ann,", "nobody,Nobody,"), "3", "one is bad, and those after it were not looked at"),
        (("a@example.com", "b@example.com,B,"), "2", "1 bad"),
    ):
        csv(tmp_path, *rows)
        done = mailer(*IMPORT, "--strict", "--bad-rows", "bad.csv")
        assert done.returncode == 2
        assert done.stderr == f"mailer: rows: {found}, so nothing was enqueued (--strict). See bad.csv\n"
        assert (tmp_path / "bad.csv").read_text().splitlines()[1].startswith(f"{line},")
    assert read_status(client, settings).waiting == 0


def test_a_strict_import_of_good_rows_enqueues_all(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    csv(tmp_path, "ann@example.com,Ann,", "bob@example.com,Bob,")
    done = mailer(*IMPORT, "--strict", "--lane", "transactional")
    assert (done.returncode, done.stdout) == (0, "2 accepted, 0 bad, 0 with a key used before\n")
    assert [lane.waiting for lane in read_status(client, settings).lanes] == [2, 0]


def test_a_template_that_uses_an_unknown_column_enqueues_nothing(
    mailer: Mailer, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    csv(tmp_path, "ann@example.com,Ann,")
    (tmp_path / "body.txt").write_text("Dear {{ surname }}", encoding="utf-8")
    done = mailer(*IMPORT)
    assert (done.stdout, read_status(client, settings).waiting) == ("0 accepted, 1 bad, 0 with a key used before\n", 0)
    assert done.returncode == 1
    assert "Line 2: variables: lack what text asks for: surname is not given" in done.stderr
    assert "templates may use here: name" in done.stderr
    assert "surname" in (tmp_path / "people.csv.bad.csv").read_text(encoding="utf-8")
