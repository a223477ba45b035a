"""Templates with variables: what the producer accepts the worker makes, and what it refuses the worker does too."""

from __future__ import annotations

import json
import re
import time
from random import Random

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailer.errors import InvalidMessage
from mailer.mail.address import parse
from mailer.mail.content import Structured
from mailer.mail.message import Message
from mailer.mail.recipient import variables_json
from mailer.mail.template.bounds import MAX_CHARS, Heavy
from mailer.mail.template.syntax import has_tags
from mailer.queue.payload import decode
from tests.support.content import structured
from tests.unit.producer.fuzz.grammar import SECRET, template, variables
from tests.unit.producer.fuzz.inspection import Finding, inspect

TO = parse("jane@example.com")
LONGEST_SECONDS = 3.0
# What is otherwise here than in Jinja2 in Python, on purpose: missing values, and what has a bound or a form of ours.
# Jinja2 takes what a filter makes of a block for escaped.
_OTHERWISE = re.compile(
    r"none|null|empty|nothing|default|\bd\b|defined|''|10\*\*|2\*\*|e308|99999|__|wordwrap|title|striptags|items|format|lipsum"
    r"|number|sequence|iterable|mapping|int|float|slice|list|self|caller|loop|map\(|tojson|truncate|\\n|set x \|"
    r"|% filter +join"
)


class Templates:
    """Through `Structured` at the producer, and through `mailer.queue.payload.decode` at the worker."""

    name = "templates"

    def attempt(self, random: Random) -> str:
        fields = {"text": template(random)}
        if random.random() < 0.5:
            fields = {"html": template(random)} if random.random() < 0.6 else fields | {"html": template(random)}
        if random.random() < 0.1:
            fields["subject"] = template(random)
        given = variables(random)
        shown = f"{fields} {given!r:.2000}"
        began = time.thread_time()
        try:
            content = Structured.of(templates=True, sender="n@example.com", **{"subject": "Hello", **fields})
            encoded = variables_json(given)
        except InvalidMessage as error:
            _inspect_error(error, shown)
            return "refused"
        except Exception as error:
            raise Finding(f"{type(error).__name__} while compiling {shown}") from error
        try:
            refused = _error(lambda: content.check(given, encoded))
            at_worker = _worker(content, json.loads(encoded), patient=True)
            assert at_worker is not None
            at_once = _worker(content, json.loads(encoded), patient=False)
        except Exception as error:
            raise Finding(f"{type(error).__name__} while rendering {shown}") from error
        if time.thread_time() - began > LONGEST_SECONDS:
            raise Finding(f"{time.thread_time() - began:.1f} s for {shown}")
        if at_once is not None and at_once != at_worker:
            raise Finding(f"the loop makes {at_once!r:.300}, a helper {at_worker!r:.300} of {shown}")
        if isinstance(at_worker, str) or refused is not None:
            if refused is None or not isinstance(at_worker, str):
                raise Finding(f"the producer says {refused}, the worker {at_worker!r:.300} to {shown}")
            return "refused at rendering"
        inspect(at_worker)
        _inspect_texts(at_worker, shown)
        return "as Jinja2 does" if _compared(at_worker, fields, given) else "accepted"


def _error(act: object) -> str | None:
    try:
        act()  # type: ignore[operator]
    except InvalidMessage as error:
        _inspect_error(error, "")
        return str(error)
    return None


def _worker(content: Structured, given: dict[str, object], *, patient: bool) -> Message | str | None:
    """The message, the error's words, or None where it takes too long to do at once."""
    kwargs = {"to": TO.header, "vars": given}
    try:
        return decode(kwargs, lambda _: content.encoded, message_id="id", content_hash=content.hash, patient=patient)
    except Heavy:
        return None
    except InvalidMessage as error:
        _inspect_error(error, "")
        return str(error)


def _inspect_error(error: InvalidMessage, shown: str) -> None:
    if not (error.field and error.problem and error.remedy) or len(str(error)) > 1500:
        raise Finding(f"an error that does not help: {error!r:.1500} {shown}")
    if SECRET in f"{error} {error.__cause__!r}":
        raise Finding(f"an error with a value: {error} {shown}")


def _inspect_texts(message: Message, shown: str) -> None:
    content = structured(message)
    for text in (content.subject, content.text or "", content.html or ""):
        if type(text) is not str or len(text) > MAX_CHARS + 100_000:
            raise Finding(f"{type(text)} of {len(text)} characters: {shown}")
        if any(words in text for words in (" object at 0x", "<built-in", "<bound", "<function", "Undefined")):
            raise Finding(f"Python shows in {text!r:.500}: {shown}")


_JINJA = {
    field: ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=field == "html", keep_trailing_newline=True
    )
    for field in ("subject", "text", "html")
}
for _environment in _JINJA.values():
    _environment.filters["split"] = lambda value, *args: value.split(*args)


def _compared(message: Message, fields: dict[str, str], given: dict[str, object]) -> bool:
    """Whether Jinja2 makes the same, where it is to: not of null, of what is empty, of what it has no bound for."""
    if _OTHERWISE.search(" ".join(fields.values())) or "null" in json.dumps(list(given.values())):
        return False
    for field, source in fields.items():
        if not has_tags(source):
            continue
        try:
            made = _JINJA[field].from_string(source).render(given)
        except Exception:  # noqa: BLE001 - what Jinja2 refuses is no comparison
            return False
        ours = getattr(message.content, field)
        if ours != made:
            raise Finding(f"Jinja2 makes {made!r:.500} and we {ours!r:.500} of {source!r} {given!r:.1500}")
    return True
