"""The page of the Python API, made from the public names and their docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import mailer
from mailer.errors import MailerError
from mailer.producer.producer import Extras, Options
from ops.docs.text import attributes, cell, line, markdown, table

_HEAD = """# Python

<!-- written by `python -m ops.docs` -->

`import mailer` brings these names. All of them are typed.
"""
_WIDTH = 80
_GROUPS = {
    "Sending": ("send", "send_many", "send_raw", "Recipient", "Attachment", "SendManyResult"),
    "Operating": ("pause", "resume", "rate", "dead", "held", "scheduled", "Shelf", "Filter"),
    "Accounts": ("configure", "Producer"),
    "Errors": (),
}


def page() -> str:
    public = {name: getattr(mailer, name) for name in mailer.__all__}
    errors = tuple(name for name, each in public.items() if inspect.isclass(each) and issubclass(each, MailerError))
    groups = {**_GROUPS, "Errors": errors}
    if missing := public.keys() - {name for names in groups.values() for name in names}:
        raise ValueError(f"public names without a group in ops/docs/api.py: {', '.join(sorted(missing))}")
    parts = [_HEAD]
    for title, names in groups.items():
        parts.append(f"## {title}\n")
        for name in names:
            parts += _of(name, public[name])
        if title == "Sending":
            parts.append(_options("Options", Options, "Further arguments of `mailer.send` and `mailer.send_raw`."))
            parts.append(_options("Extras", Extras, "Further arguments of `mailer.send` and `mailer.send_many`."))
    return "\n".join(parts)


def _of(name: str, member: Any) -> Iterator[str]:
    yield f"### `mailer.{name}`\n"
    if not (inspect.isclass(member) and issubclass(member, MailerError)):
        yield _signature(f"mailer.{name}", member)
    yield f"{markdown(member.__doc__)}\n"
    if not inspect.isclass(member) or issubclass(member, MailerError):
        return
    documented = attributes(member)
    if documented:
        yield f"{table(['attribute', ''], [[f'`{each}`', line(text)] for each, text in documented.items()])}\n"
    for each, method in vars(member).items():
        function = method.__func__ if isinstance(method, classmethod) else method
        if each.startswith("_") or each in documented:
            continue
        if isinstance(method, property):
            yield f"`{name}.{each}`: {line(method.__doc__)}\n"
        elif inspect.isfunction(function) and function.__doc__:
            yield f"#### `{name}.{each}`\n"
            if each in mailer.__all__:
                yield f"As `mailer.{each}`, for this account.\n"
                continue
            yield _signature(f"{name}.{each}", function)
            yield f"{markdown(function.__doc__)}\n"


class _Annotation:
    """An annotation that is shown as it is written, without quotes."""

    def __init__(self, written: Any) -> None:
        self._written = written

    def __repr__(self) -> str:
        return self._written if isinstance(self._written, str) else inspect.formatannotation(self._written)


def _signature(name: str, member: Any) -> str:
    """The signature, with an argument on each line where it is long."""
    signature = inspect.signature(member)
    parameters = [each for each in signature.parameters.values() if each.name not in ("self", "cls")]
    arguments = [
        str(each if each.annotation is each.empty else each.replace(annotation=_Annotation(each.annotation)))
        for each in parameters
    ]
    kinds = [each.kind for each in parameters]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        arguments.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returned = signature.return_annotation
    end = ")" if returned is signature.empty else f") -> {_Annotation(returned)!r}"
    whole = f"{name}({', '.join(arguments)}{end}"
    if len(whole) > _WIDTH:
        whole = f"{name}(\n" + "".join(f"    {each},\n" for each in arguments) + end
    return f"```pyi\n{re.sub(r'<factory>', '...', whole)}\n```\n"


def _options(name: str, typed: Any, head: str) -> str:
    """The arguments that several functions share."""
    documented = attributes(typed)
    rows = [
        [f"`{each}`", f"`{cell(getattr(kind, '__forward_arg__', kind))}`", line(documented.get(each))]
        for each, kind in typed.__annotations__.items()
    ]
    return f"### `{name}`\n\n{head} {line(typed.__doc__)}\n\n{table(['argument', 'type', ''], rows)}\n"
