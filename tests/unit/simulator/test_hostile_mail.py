"""Mail made to harm whoever looks at it: it acts nowhere, and takes no longer to look at than other mail."""

from __future__ import annotations

import http.client
import logging
import re
import time
from urllib.parse import unquote, urlsplit

import pytest

from mailer.simulator import log
from mailer.simulator.client import Simulator
from mailer.simulator.control.preview import html
from mailer.simulator.inbox import Inbox, Submission
from tests.unit.simulator.conftest import Ses, mail

_TAG = re.compile(r"<(/?)([a-z0-9]+)([^>]*)>")
UNITS = [
    *("<!--", "<", "<a ", "<!a", "<![CDATA[", "</a ", "<?a", '<a b="', "<script>", "&a", "<style></x", "<a b=c "),
    *("<a/", "<svg>", "<title>", "<a =", "cid:l "),
]
DIFFERENTLY = [
    '<svg><style><p><link rel="preconnect" href="//evil.example"></style></svg>',
    '<math><style><p><img src="//evil.example" onerror="x()"></style></math>',
    '<noscript><p title="</noscript><link rel=preconnect href=//evil.example>">',
    '<!--><link rel="preconnect" href="//evil.example">-->',
    '<!--a--!><link rel="preconnect" href="//evil.example">-->',
    '<textarea><link rel="x" href="//evil.example"></textarea>',
    '<title></title/x><base href="//evil.example">',
    '<![CDATA[ ><iframe src="//evil.example">]]>',
    '<?xml ><meta http-equiv="refresh" content="0;url=//evil.example">?>',
    '<div <meta http-equiv="refresh" content="0;url=//evil.example">>',
    "<a href=//evil.example onclick=x() ping=//evil.example target=_top>go</a>",
    '<form action="//evil.example"><button formaction="//evil.example">x</button><input type=image src=//evil.example>',
    '<xmp><link rel="x" href="//evil.example"></xmp><plaintext><link rel="x" href="//evil.example">',
    '<template><link rel="x"></template><template shadowrootmode="open"><link rel="x"></template>',
    '<img srcset="//evil.example 1x" src="//evil.example"><video poster="//evil.example"><source src="//evil.example">',
    '<body background="//evil.example" onload="x()"><table background="//evil.example">',
    '<p/onmouseover=x() style="x"><a\tHREF="//evil.example"\nxlink:href="//evil.example">',
    "<scr\0ipt>x()</scr\0ipt><ſcript>x()</ſcript><LINK REL=x HREF=//evil.example>",
]
_DOES_NOTHING = {"style", "src", "alt", "title", "rel", "type", "content", "href"}


def submission(text: str) -> Submission:
    data = b"From: a@b.co\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + text.encode()
    return Submission("us-east-1", "smtp", "a@b.co", ("b@b.co",), "mime", data, {})


@pytest.mark.parametrize("text", DIFFERENTLY)
def test_no_html_has_a_tag_that_was_not_chosen(text: str) -> None:
    shown = (html(submission(text)) or b"").decode()
    assert _TAG.sub("", shown).count("<") == 0
    for _, name, attributes in _TAG.findall(shown):
        assert name not in {"script", "link", "meta", "base", "iframe", "svg", "math", "template", "noscript", "xmp"}
        for attribute in re.findall(r' ([a-z:]+)="', attributes):
            assert attribute in _DOES_NOTHING
        assert re.findall(r'href="([^"]*)"', attributes) in ([], ["#"])
        assert not re.search(r'src="(?!data:)', attributes)


def test_other_html_is_shown_as_it_is() -> None:
    text = '<!DOCTYPE html><style>a>b{content:"x"}</style><p class="x">1 &lt; 2 &amp; <b>Grüße</b><br>&nbsp;é</p>'
    assert (html(submission(text)) or b"").decode().strip() == text.replace("<p class", "<p class")


@pytest.mark.parametrize("unit", UNITS)
def test_no_html_takes_long_to_look_at(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    html(submission(text))
    assert time.process_time() - started < 5, "two hundred kilobytes of what took minutes"


def test_no_more_html_is_shown_than_anybody_reads() -> None:
    assert len(html(submission("<p>x" * 5_000_000)) or b"") < 2_000_000


HEADERS = [
    *('To: "' + '"' * 60_000, "To: " + "(" * 60_000, "To: " + "a " * 30_000, "Subject: " + "=?utf-8?q?a?= " * 5000),
    *("Content-Type: text/plain" + ";a" * 30_000, "Content-Disposition: x" + ";filename*=b" * 5000),
    "Content-Type: multipart/mixed; boundary=x" + "\r\n\r\n--x\r\nContent-Type: multipart/mixed; boundary=x" * 3000,
    "X: y\r\n" * 20_000 + "X: y",
]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda text: text[:30])
def test_no_headers_take_long_to_look_at(headers: str) -> None:
    lines = re.sub(r"(.{900})(?=.)", "\\1\r\n ", headers)
    data = f"From: a@b.co\r\n{lines}\r\n\r\nHello\r\n".encode()
    inbox = Inbox(10, 10_000_000, 10, "x")
    message = inbox.add(0.0, "id", Submission("us-east-1", "smtp", "a@b.co", ("b@b.co",), "mime", data, {}))
    from mailer.simulator import content  # noqa: PLC0415
    from mailer.simulator.events import event  # noqa: PLC0415

    started = time.process_time()
    found = content.parse(message.submission)
    event._headers(message)
    assert time.process_time() - started < 5
    assert found["headers"][0] == ("From", "a@b.co")


def test_what_is_refused_for_a_thousand_brackets_is_the_message(ses: Ses, simulator: Simulator) -> None:
    raw = b"From: a@example.com\r\nTo: " + b"(" * 5000 + b"\r\n\r\nHello\r\n"
    with pytest.raises(ses.exceptions.ClientError) as caught:
        ses.send_email(Content={"Raw": {"Data": raw}})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(ses.exceptions.ClientError) as caught:
        ses.send_email(**mail("(" * 5000 + "<a@b.co>"))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_picture_shown_a_thousand_times_does_not_fill_the_memory() -> None:
    picture = "A" * 1_000_000
    text = '<img src="cid:l">' * 1000
    data = (
        'From: a@b.co\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary="x"\r\n\r\n'
        f"--x\r\nContent-Type: text/html\r\n\r\n{text}\r\n"
        f"--x\r\nContent-Type: image/gif\r\nContent-ID: <l>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        f"{picture}\r\n--x--"
    )
    shown = html(Submission("us-east-1", "smtp", "a@b.co", ("b@b.co",), "mime", data.encode(), {})) or b""
    assert 1_000_000 < len(shown) < 80_000_000
    assert shown.count(b"<img") == 1000


@pytest.mark.parametrize(
    ("given", "saved"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("../../.bashrc", "bashrc"),
        ("..\\..\\Startup\\x.bat", "x.bat"),
        ("/etc/passwd", "passwd"),
        ("ann\u202efdp.exe", "annfdp.exe"),
        ("a\0b\r\nX: y\x1b[31m.txt", "abX y[31m.txt"),
        ('a"; filename=b.exe', "a; filename=b.exe"),
        ("...", "attachment"),
        (" .htaccess. ", "htaccess"),
        ("ü" * 300 + ".pdf", "ü" * 49 + ".pdf"),
        ("a.exe|<x>?*", "a.exex"),
    ],
)
def test_an_attachment_is_saved_under_a_name_that_does_no_harm(
    ses: Ses, simulator: Simulator, given: str, saved: str
) -> None:
    call = mail()
    call["Content"]["Simple"]["Attachments"] = [{"FileName": given, "RawContent": b"x", "ContentType": "text/html"}]
    ses_id = ses.send_email(**call)["MessageId"]
    address = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("GET", f"/_sim/messages/{ses_id}/attachments/0")
    answer = connection.getresponse()
    kind, _, name = answer.headers["Content-Disposition"].partition("; filename*=UTF-8''")
    assert (kind, unquote(name)) == ("attachment", saved)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    connection.close()


def test_the_oldest_mail_makes_room_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox(10_000, 10**9, 100, "x")
    one = submission("Hello")
    for number in range(30_000):
        inbox.add(0.0, f"id-{number}", one)
    assert (len(inbox), inbox.dropped) == (10_000, 20_000)
    assert [record.getMessage() for record in caplog.records] == [
        "10000 messages are kept, or 953 MB of them: from here on the oldest make room (--keep, --keep-bytes)"
    ]
    inbox.clear()
    assert inbox.dropped == 0


def test_recipients_and_tags_count_as_room_too() -> None:
    inbox = Inbox(10_000, 100_000, 100, "x")
    many = Submission("us-east-1", "smtp", "a@b.co", ("b" * 300 + "@b.co",) * 50, "mime", b"x", {"t": "v" * 200})
    for number in range(100):
        inbox.add(0.0, f"id-{number}", many)
    assert len(inbox) == 6


def test_no_line_of_the_log_is_a_clients_own() -> None:
    formatter = log.Plain("%(message)s")
    error = ValueError("\x1b]0;owned\x07\u202e")
    info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "%s %s", ("GET", "/\x1b[2J\r\nroot: all well\x9b31m"), info)
    text = formatter.format(record)
    assert "\\x1b[2J\\r\\nroot: all well\\x9b31m" in text
    assert all(line.isprintable() for line in text.split("\n"))
