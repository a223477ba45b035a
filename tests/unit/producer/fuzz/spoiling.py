"""A hundred ways to spoil an argument, of any Python type. All from one seeded ``Random``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

_NASTY = (
    *("\r\nBcc: victim@example.com", "\nX-Injected: 1", "\r", "\0", "\r\n\r\n<p>body</p>", "\x85", "\u2028", "\x0b"),
    *(
        "\ud800",
        "\udfff\ud800",
        "\u202e",
        "\ufeff",
        "\u200b",
        "é",
        "𝒳",
        "ａ",
        "İ",
        "ß",
        "\N{COMBINING ACUTE ACCENT}" * 40,
    ),
    *("=?utf-8?q?=0D=0ABcc:_x?=", "=?utf-8?b?DQpCY2M6IHg=?=", "%0d%0aBcc: x", "\\r\\n", "&#13;&#10;", "\t", "  "),
    *('"', "<", ">", ",", ";", ":", "@", "()", "\\", "[127.0.0.1]", ".", "..", "'", "{{", "{% for", "{{ name }}", "{#"),
    *("{{ ''.__class__ }}", "{{ name * 100000000 }}", "{% include 'x' %}", "x" * 1000, "ü" * 500, "x " * 700),
)
_VALUES: tuple[Callable[[Random], Any], ...] = (
    lambda _: None,
    lambda _: "",
    lambda _: b"bytes",
    lambda _: [],
    lambda _: {},
    lambda _: (),
    lambda _: {"a"},
    lambda _: True,
    lambda _: object(),
    lambda _: float("nan"),
    lambda _: Decimal("1.5"),
    lambda _: 1j,
    lambda _: range(3),
    lambda _: iter("ab"),
    lambda _: ValueError,
    lambda _: datetime(2026, 1, 1),  # noqa: DTZ001 - naive on purpose
    lambda _: datetime.max.replace(tzinfo=UTC),
    lambda _: datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    lambda random: random.choice([0, -1, 1e308, 2**70, -0.0]),
    lambda random: "a@" * random.randrange(300),
    lambda random: ["x@example.com"] * random.randrange(1200),
    lambda random: {f"k{n}": "v" for n in range(random.randrange(60))},
    lambda random: {random.choice(_NASTY): random.choice(_NASTY)},
    lambda _: {1: 2, None: 3},
    lambda random: "".join(chr(random.randrange(0x110000)) for _ in range(random.randrange(40))),
    lambda random: random.choice(_NASTY) + "@example.com",
    lambda random: "jane@" + random.choice(_NASTY) + ".com",
    lambda random: f"Jane {random.choice(_NASTY)} <jane@example.com>",
    lambda random: [random.choice(_NASTY), None, 1],
    lambda random: _nested(random.choice([50, 3000])),
)


def spoilt(random: Random, value: Any) -> Any:
    """A copy of ``value`` with something in it replaced, lost or added."""
    if isinstance(value, str) and random.random() < 0.7:
        at = random.randrange(len(value) + 1)
        return value[:at] + random.choice(_NASTY) + value[at if random.random() < 0.5 else len(value) :]
    if random.random() < 0.3 or not value:
        return random.choice(_VALUES)(random)
    if isinstance(value, dict):
        chosen = random.choice(list(value))
        if random.random() < 0.1:
            return {name: each for name, each in value.items() if name != chosen}
        if random.random() < 0.2:
            return value | {random.choice(_NASTY): spoilt(random, "x")}
        return value | {chosen: spoilt(random, value[chosen])}
    if isinstance(value, list | tuple):
        index = random.randrange(len(value))
        return type(value)(spoilt(random, each) if place == index else each for place, each in enumerate(value))
    if is_dataclass(value) and not isinstance(value, type):
        name = random.choice([field.name for field in fields(value)])
        return replace(value, **{name: spoilt(random, getattr(value, name))})
    return random.choice(_VALUES)(random)


def spoilt_arguments(random: Random, arguments: dict[str, Any]) -> dict[str, Any]:
    """One to three of the arguments spoilt."""
    chosen = random.sample(sorted(arguments), min(len(arguments), random.choice([1, 1, 1, 2, 3])))
    return arguments | {name: spoilt(random, arguments[name]) for name in chosen}


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value
