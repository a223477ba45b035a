"""Random templates over the whole grammar of Jinja2, with variables for them. All from one seeded ``Random``."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from mailer.mail.template.filters import FILTERS, _parameters
from mailer.mail.template.tests import TESTS

SECRET = "s3cr3t-4711"
"""A text that stands in variables alone: no error may hold it."""

_NAMES = (
    *("a", "a", "b", "n", "n", "xs", "xs", "order", "user", "secret", "empty", "null", "nothing", "big", "x", "i"),
    *("loop", "m", "ns"),
)
_TEXTS = (*("''", "'a'", "'<b>&'", "'é x y'", "'%s-%.2f'", "'-'", "'name'", "'12'", "'1.5'", "'upper'", "'odd'"),)
_IN_NO_MAIL = ('"\\ud800"', '"\\0"', '"\\n"')
_NUMBERS = ("0", "1", "2", "-1", "7", "1.5", "0.1", "99999", "10**9", "2**70", "1e308", "true", "false", "none")
_KEYS = ("name", "items", "values", "lines", "price", "__class__", "get", "index", "first", "x", "grouper", "list", "0")
_BINARY = ("+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or")
_FUNCTIONS = ("range", "range", "namespace", "m", "m", "caller", "loop.cycle", "lipsum")
_METHODS = ("x.upper", "order.items", "loop.changed")
_FOREIGN = ("random", "attr", "urlize", "xmlattr", "pprint")
_TAGS = (
    *(
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% block b %}x{% endblock %}",
        "{% break %}",
        "{#",
        "{# note #}",
        "{{",
        "%}",
    ),
    *("{% raw %}{{ x }}{% endraw %}", "a{%b}", "@media{#id{c:d}}", "{% autoescape false %}{{ a }}{% endautoescape %}"),
)


def template(random: Random) -> str:
    """One, sometimes spoilt in its characters."""
    made = _body(random, random.choice([1, 2, 2, 3]))
    while made and random.random() < 0.05:
        at = random.randrange(len(made))
        made = (
            made[:at] + random.choice(["", "{", "}", "%", "'", "(", " ", made[:at]]) + made[at + random.randrange(3) :]
        )
    return made[:20_000]


def variables(random: Random) -> dict[str, Any]:
    """What a recipient may have."""
    made = {
        "a": random.choice(["Jane", "<b>", "é", 5, 0, 1.5, True]),
        "b": _value(random, 2),
        "n": random.choice([0, 3, -7, 12.25, 2**60, 300]),
        "xs": [_value(random, 1) for _ in range(random.randrange(5))],
        "order": {
            "items": 3,
            "values": _value(random, 1),
            "name": "Order",
            "price": 9.5,
            "lines": [{"name": f"Thing {n}", "price": n / 4, "x": random.choice([None, "y", 1])} for n in range(3)],
        },
        "user": {"name": SECRET, "list": [SECRET, SECRET]},
        "secret": SECRET,
        "empty": "",
        "null": None,
        "x": _value(random, 2),
    }
    if random.random() < 0.1:
        made["big"] = random.choice(["é ", "<&", "x", "😀"]) * random.choice([1000, 40_000])
    if random.random() < 0.5:
        made = json.loads(json.dumps(made).replace("null", "7"))
    return {name: each for name, each in made.items() if random.random() < 0.97}


def _value(random: Random, depth: int) -> Any:
    if depth and random.random() < 0.3:
        return [_value(random, depth - 1) for _ in range(random.randrange(4))]
    if depth and random.random() < 0.3:
        return {random.choice(_KEYS): _value(random, depth - 1) for _ in range(random.randrange(4))}
    return random.choice([SECRET, "", "text", "<i>", "12", 0, 1, -3, 2.5, True, False, None, 2**80, "ß İ"])


def _body(random: Random, depth: int) -> str:
    return "".join(_statement(random, depth) for _ in range(random.choice([1, 1, 2, 3])))


def _statement(random: Random, depth: int) -> str:
    if depth <= 0 or random.random() < 0.45:
        return random.choice(
            [
                f"{{{{ {_expression(random, 3)} }}}}",
                f"{{{{- {_expression(random, 2)} -}}}}",
                "text <p>\r\n",
                random.choice(_TAGS) if random.random() < 0.05 else "é",
            ]
        )
    return random.choice(_STATEMENTS)(random, depth - 1)


def _target(random: Random) -> str:
    return random.choice(["i", "i", "x", "a", "i, x", "loop"])


_STATEMENTS: tuple[Callable[[Random, int], str], ...] = (
    lambda r, d: f"{{% if {_expression(r, 2)} %}}{_body(r, d)}{{% elif {_atom(r)} %}}{_body(r, d)}{{% endif %}}",
    lambda r, d: f"{{% if {_expression(r, 2)} %}}{_body(r, d)}{{% else %}}{_body(r, d)}{{% endif %}}",
    lambda r, d: f"{{% for {_target(r)} in {_iterable(r)} %}}{_body(r, d)}{{% else %}}{_body(r, d)}{{% endfor %}}",
    lambda r, d: f"{{% for i in {_iterable(r)} if {_expression(r, 1)} %}}{{{{ i }}}}{_body(r, d)}{{% endfor %}}",
    lambda r, d: f"{{% set {r.choice(['ns.t', _target(r)])} = {_expression(r, 2)} %}}{_body(r, d)}",
    lambda r, d: f"{{% set x{_filters(r)} %}}{_body(r, d)}{{% endset %}}{{{{ x }}}}",
    lambda r, d: f"{{% with x = {_expression(r, 2)}, i = x %}}{_body(r, d)}{{% endwith %}}",
    lambda r, d: f"{{% macro m(i, x={_expression(r, 1)}) %}}{_body(r, d)}{{% endmacro %}}{{{{ m({_atom(r)}) }}}}",
    lambda r, d: f"{{% macro m() %}}{{{{ caller() }}}}{{% endmacro %}}{{% call m() %}}{_body(r, d)}{{% endcall %}}",
    lambda r, d: f"{{% filter {_filters(r)[2:] or 'upper'} %}}{_body(r, d)}{{% endfilter %}}",
    lambda r, d: f"{{% set ns = namespace(t=0) %}}{_body(r, d)}{{{{ ns.t }}}}",
)


def _iterable(random: Random) -> str:
    return random.choice(["xs", "order.lines", "range(3)", "order | items", "[1, 2]", "b", _expression(random, 2)])


def _filters(random: Random) -> str:
    return "".join(f" | {_filter(random)}" for _ in range(random.choice([0, 1, 1, 2])))


def _filter(random: Random) -> str:
    name = random.choice(_FOREIGN) if random.random() < 0.02 else random.choice(list(FILTERS))
    if name in ("map", "sort", "sum", "groupby", "join", "unique", "max", "min") and random.random() < 0.5:
        return f"{name}(attribute={random.choice(['0', *(repr(key) for key in _KEYS)])})"
    if name in ("map", "select", "reject") and random.random() < 0.8:
        return f"{name}({random.choice(list(FILTERS if name == 'map' else TESTS))!r})"
    function = FILTERS.get(name)
    return f"{name}{_arguments(random, function)}"


def _arguments(random: Random, function: Callable[..., Any] | None) -> str:
    """As many as ``function`` takes, mostly."""
    least, most, _ = _parameters(function) if function and random.random() < 0.97 else (0, 2, None)
    count = random.choice([least, random.randint(least, max(least, 2) if most is None else most)])
    return f"({', '.join(_atom(random) for _ in range(count))})" if count else ""


def _test(random: Random) -> str:
    name = random.choice([name for name in TESTS if name.isalpha()])
    return f"{name}{_arguments(random, TESTS[name])}"


def _atom(random: Random) -> str:
    if random.random() < 0.01:
        return random.choice(_IN_NO_MAIL)
    return random.choice([random.choice(_NAMES), random.choice(_TEXTS), random.choice(_NUMBERS)])


def _expression(random: Random, depth: int) -> str:
    if depth <= 0 or random.random() < 0.25:
        return _atom(random)
    inner = _expression(random, depth - 1)
    return random.choice(_EXPRESSIONS)(random, inner, depth - 1)


_EXPRESSIONS: tuple[Callable[[Random, str, int], str], ...] = (
    lambda r, x, _: f"{x} | {_filter(r)}",
    lambda r, x, _: f"({x}){_filters(r)}",
    lambda r, x, d: f"({x} {r.choice(_BINARY)} {_expression(r, d)})",
    lambda r, x, d: f"({x} < {_atom(r)} <= {_expression(r, d)})",
    lambda r, x, _: f"{r.choice(['not ', '-', '+'])}({x})",
    lambda r, x, _: f"({x}).{r.choice(_KEYS)}",
    lambda r, x, d: f"({x})[{_expression(r, d)}]",
    lambda r, x, _: f"({x})[{r.choice(['', '1', '-1'])}:{r.choice(['', '2', '10**9'])}{r.choice(['', ':-1'])}]",
    lambda r, x, d: f"({x} if {_expression(r, d)} else {_atom(r)})",
    lambda r, x, d: f"({x} if {_expression(r, d)})",
    lambda r, x, d: f"[{x}, {_expression(r, d)}]",
    lambda r, x, _: f"{{'name': {x}, {r.choice(_TEXTS)}: {_atom(r)}}}",
    lambda r, x, _: f"({x} is {r.choice(['', 'not '])}{_test(r)})",
    lambda r, x, _: f"{r.choice(_METHODS if r.random() < 0.05 else _FUNCTIONS)}({x})",
    lambda r, x, _: f"loop.{r.choice(_KEYS)} ~ {x}",
)
