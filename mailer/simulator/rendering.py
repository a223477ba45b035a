"""SES's template language: Handlebars without HTML escaping. A missing attribute is an error.

All that AWS documents works: ``{{name}}``, ``{{person.name}}``, ``{{#each items}}``, ``{{#if name}}``, ``{{#unless}}``,
``{{#with}}``, ``{{else}}``, ``{{! comments }}`` and inline partials (``{{#* inline "part"}}...{{/inline}}``,
``{{> part}}``). SES does not escape HTML, so ``{{name}}`` and ``{{{name}}}`` are the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

MOST_CHARACTERS = 40 * 1024 * 1024
"""The limit for a rendered part: ``each`` within ``each`` must not fill the memory."""
_MOST_STEPS = 100_000
_MOST_DEPTH = 30

_TAG = re.compile(r"\{\{!--.*?--\}\}|\{\{!.*?\}\}|\{\{\{([^{}]*)\}\}\}|\{\{([^{}]*)\}\}", re.DOTALL)
_NAME = r"[^\s.\[\]{}#/'\"()@]+"
_PATH = re.compile(rf"(?:\.\./)*(?:\.|@?{_NAME}(?:[./](?:{_NAME}|\[[^\]]+\]))*)")
_STEP = re.compile(rf"\[([^\]]+)\]|({_NAME})")
_INLINE = re.compile(r"""\*\s*inline\s+["']([^"']+)["']""")
_BLOCKS = ("each", "if", "unless", "with")
_FALSE: tuple[object, ...] = (None, False, 0, "", [])


class TemplateInvalid(Exception):
    """The text is not a template, or no data can render it. The message gives the reason."""


class AttributeMissing(Exception):
    """The data lack ``name``, which the template needs."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Attribute '{name}' is not present in the rendering data.")


@dataclass(frozen=True, slots=True)
class _Variable:
    path: str


@dataclass(frozen=True, slots=True)
class _Use:
    """``{{> partial}}``."""

    partial: str


@dataclass(frozen=True, slots=True)
class _Block:
    """``kind`` is one of ``_BLOCKS``."""

    kind: str
    path: str
    body: Sequence[_Node]
    otherwise: Sequence[_Node]


_Node: TypeAlias = "str | _Variable | _Use | _Block"


class Template:
    """One part (subject, text or HTML), parsed. Raises ``TemplateInvalid``."""

    def __init__(self, text: str) -> None:
        parser = _Parser(text)
        self._nodes = parser.nodes()
        self._partials = parser.partials

    def render(self, data: Mapping[str, Any]) -> str:
        """``data`` holds JSON values. Raises ``AttributeMissing``, or ``TemplateInvalid`` if rendering does not end."""
        writer = _Writer(self._partials)
        try:
            writer.write(self._nodes, (data,), {"root": data}, 0)
        except RecursionError:
            raise TemplateInvalid("the data are nested too deeply") from None
        return "".join(writer.written)


class _Parser:
    def __init__(self, text: str) -> None:
        self.partials: dict[str, Sequence[_Node]] = {}
        self._tokens = _tokens(text)
        self._used: set[str] = set()

    def nodes(self) -> list[_Node]:
        nodes, end = self._body(0)
        if end is not None:
            raise TemplateInvalid(f"'{end}' closes nothing")
        missing = self._used - self.partials.keys()
        if missing:
            raise TemplateInvalid(f"there is no partial '{min(missing)}'")
        return nodes

    def _body(self, depth: int) -> tuple[list[_Node], str | None]:
        """The nodes before the next ``else`` or closing tag, and that tag."""
        if depth > _MOST_DEPTH:
            raise TemplateInvalid("blocks are nested too deeply")
        nodes: list[_Node] = []
        for text, tag in self._tokens:
            if text:
                nodes.append(text)
            if tag is None:
                continue
            if tag == "else" or tag.startswith(("else ", "/")):
                return nodes, tag
            if tag.startswith("#"):
                nodes += self._block(tag[1:].strip(), depth)
            elif tag.startswith(">"):
                self._used.add(tag[1:].strip())
                nodes.append(_Use(tag[1:].strip()))
            else:
                nodes.append(_Variable(_path(tag.removeprefix("&").strip())))
        return nodes, None

    def _block(self, opening: str, depth: int) -> list[_Node]:
        inline = _INLINE.fullmatch(opening)
        if inline:
            self.partials[inline[1]], end = self._body(depth + 1)
            if end != "/inline":
                raise TemplateInvalid("'inline' is not closed")
            return []
        return [self._rest(opening, opening.partition(" ")[0], depth)]

    def _rest(self, opening: str, closed_as: str, depth: int) -> _Block:
        kind, _, path = opening.partition(" ")
        if kind not in _BLOCKS:
            raise TemplateInvalid(f"there is no helper '{kind}'")
        path = _path(path.strip())
        body, end = self._body(depth + 1)
        otherwise: list[_Node] = []
        if end is not None and end.startswith("else "):
            # The end tag of the outer block closes this one.
            return _Block(kind, path, body, [self._rest(end.removeprefix("else ").strip(), closed_as, depth + 1)])
        if end == "else":
            otherwise, end = self._body(depth + 1)
        if end != f"/{closed_as}":
            raise TemplateInvalid(f"'{closed_as}' is not closed")
        return _Block(kind, path, body, otherwise)


class _Writer:
    def __init__(self, partials: Mapping[str, Sequence[_Node]]) -> None:
        self.written: list[str] = []
        self._partials = partials
        self._characters = 0
        self._steps = 0

    def write(self, nodes: Sequence[_Node], scopes: tuple[Any, ...], extra: Mapping[str, Any], depth: int) -> None:
        if depth > _MOST_DEPTH:
            raise TemplateInvalid("partials use each other too deeply")
        for node in nodes:
            self._steps += 1
            if isinstance(node, str):
                self._put(node)
            elif isinstance(node, _Variable):
                value = _value(node.path, scopes, extra)
                if value is None:
                    raise AttributeMissing(node.path)
                self._put(_text(value))
            elif isinstance(node, _Use):
                self.write(self._partials[node.partial], scopes, extra, depth + 1)
            else:
                self._write_block(node, scopes, extra, depth + 1)

    def _write_block(self, block: _Block, scopes: tuple[Any, ...], extra: Mapping[str, Any], depth: int) -> None:
        value = _value(block.path, scopes, extra)
        if (value in _FALSE) is not (block.kind == "unless"):
            self.write(block.otherwise, scopes, extra, depth)
        elif block.kind == "with":
            self.write(block.body, (*scopes, value), extra, depth)
        elif block.kind == "each":
            for item, more in _items(value):
                self.write(block.body, (*scopes, item), {**extra, **more}, depth)
        else:
            self.write(block.body, scopes, extra, depth)

    def _put(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS or self._steps > _MOST_STEPS:
            raise TemplateInvalid("the rendered text is too long")
        self.written.append(text)


def _tokens(text: str) -> Iterator[tuple[str, str | None]]:
    """Pairs of a text and the content of the tag after it. The last pair is (text, None)."""
    position = 0
    for match in _TAG.finditer(text):
        before, position = text[position : match.start()], match.end()
        inner = match[1] if match[1] is not None else match[2]
        yield before, None if inner is None else re.sub(r"\s+", " ", inner).strip()
    yield text[position:], None


def _path(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise TemplateInvalid(f"'{path}' is not a variable")
    return path


def _value(path: str, scopes: tuple[Any, ...], extra: Mapping[str, Any]) -> Any:
    """The value at ``path``. None if it does not exist."""
    while path.startswith("../") and len(scopes) > 1:
        path, scopes = path[3:], scopes[:-1]
    if path in {".", "this"}:
        return scopes[-1]
    steps = [bracketed or name for bracketed, name in _STEP.findall(path)]
    if path.startswith("@"):
        return _down(extra, steps)
    if steps[0] == "this":
        return _down(scopes[-1], steps[1:])
    # As in Mustache, a name missing in the innermost scope is looked up in the outer scopes.
    scope = next((scope for scope in reversed(scopes) if isinstance(scope, dict) and steps[0] in scope), None)
    return _down(scope, steps)


def _down(value: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, list) and step in {"length", "size"}:
            value = len(value)
        else:
            return None
    return value


def _items(value: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for number, (key, item) in enumerate(pairs):
        yield item, {"index": number, "key": key, "first": number == 0, "last": number == len(pairs) - 1}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
