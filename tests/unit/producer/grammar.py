"""Templates over the whole grammar of Jinja2, and variables for them, as Hypothesis strategies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from mailer.mail.template.filters import FILTERS, _parameters
from mailer.mail.template.tests import TESTS
from tests.support.strategies import edited, mostly

SECRET = "s3cr3t-4711"
"""A text that stands in variables alone: no error may hold it."""

# What is otherwise here than in Jinja2 in Python, on purpose: missing values, and what has a bound or a form of ours.
# Jinja2 takes what a filter makes of a block for escaped.
OTHERWISE = re.compile(
    r"none|null|empty|nothing|default|\bd\b|defined|''|10\*\*|2\*\*|e308|99999|__|wordwrap|title|striptags|items|format|lipsum"
    r"|number|sequence|iterable|mapping|int|float|slice|list|self|caller|loop|map\(|tojson|truncate|\\n|set x \|"
    r"|% filter +join"
)

_KEYS = ["name", "items", "values", "lines", "price", "__class__", "get", "index", "first", "x", "grouper", "list", "0"]
_BY_ATTRIBUTE = ("map", "sort", "sum", "groupby", "join", "unique", "max", "min")


def _calls(name: str, function: Callable[..., Any]) -> list[str]:
    """The name with as many arguments as it takes; half of them with as few."""
    least, most, _ = _parameters(function)
    counts = range(least, (max(least, 2) if most is None else most) + 1)
    made = [f"{name}({', '.join(['$atom'] * count)})" if count else name for count in counts]
    return made[:1] * len(made) + made


# A symbol begins with $. The first choice is the simplest. No name of a symbol may be one that OTHERWISE finds.
_RULES: dict[str, list[str]] = {
    "body": ["$statement", "$statement", "$statement$statement", "$statement$statement$statement"],
    "statement": [
        *["$plain"] * 8,
        "{% if $expression %}$body{% elif $atom %}$body{% endif %}",
        "{% if $expression %}$body{% else %}$body{% endif %}",
        "{% for $target in $many %}$body{% else %}$body{% endfor %}",
        "{% for i in $many if $expression %}{{ i }}$body{% endfor %}",
        "{% set $target = $expression %}$body",
        "{% set ns.t = $expression %}$body",
        "{% set x$filters %}$body{% endset %}{{ x }}",
        "{% with x = $expression, i = x %}$body{% endwith %}",
        "{% macro m(i, x=$atom) %}$body{% endmacro %}{{ m($atom) }}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}$body{% endcall %}",
        "{% filter $filter$filters %}$body{% endfilter %}",
        "{% set ns = namespace(t=0) %}$body{{ ns.t }}",
    ],
    "plain": [*["{{ $expression }}", "{{- $expression -}}"] * 15, *["text <p>\r\n", "é"] * 5, "$tag", "$tag"],
    "tag": [
        *("{# note #}", "{% raw %}{{ x }}{% endraw %}", "{% autoescape false %}{{ a }}{% endautoescape %}"),
        *("{% include 'x' %}", "{% extends 'x' %}", "{% block b %}x{% endblock %}", "{% break %}"),
        *("{#", "{{", "%}", "a{%b}", "@media{#id{c:d}}"),
    ],
    "target": ["i", "i", "x", "a", "i, x", "loop"],
    "many": ["xs", "order.lines", "range(3)", "order | items", "[1, 2]", "b", "$expression"],
    "filters": ["", " | $filter", " | $filter", " | $filter | $filter"],
    "filter": [*(f"$filter_{name}" for name in FILTERS), "$foreign"],
    "foreign": ["random", "attr", "urlize", "xmlattr", "pprint($atom)"],
    **{f"filter_{name}": _calls(name, function) for name, function in FILTERS.items()},
    "test": [f"$test_{name}" for name in TESTS if name.isalpha()],
    **{f"test_{name}": _calls(name, function) for name, function in TESTS.items()},
    "atom": [*["$name", "$text", "$figure"] * 30, "$unsendable"],
    "name": [
        *("a", "a", "b", "n", "n", "xs", "xs", "order", "user", "secret", "empty", "null", "nothing", "big", "x", "i"),
        *("loop", "m", "ns"),
    ],
    "text": ["''", "'a'", "'<b>&'", "'é x y'", "'%s-%.2f'", "'-'", "'name'", "'12'", "'1.5'", "'upper'", "'odd'"],
    "unsendable": ['"\\ud800"', '"\\0"', '"\\n"'],
    "figure": ["0", "1", "2", "-1", "7", "1.5", "0.1", "99999", "10**9", "2**70", "1e308", "true", "false", "none"],
    "key": _KEYS,
    "binary": [
        *("+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"),
    ],
    # These work for the most part.
    "amount": ["n", "2", "7", "-1", "0.5", "n", "2", "7", "-1", "($amount $compute $amount)"],
    "compute": ["+", "-", "*", "/", "//", "%"],
    "compare": ["==", "!=", "<", "<=", ">", ">="],
    "unary": ["not ", "-", "+"],
    "function": [
        *["range", "range", "namespace", "m", "m", "caller", "loop.cycle", "lipsum"] * 5,
        *("x.upper", "order.items", "loop.changed"),
    ],
    "part": ["1:", ":2", "-1:", "1:2", "::-1", ":10**9", "-1:2:-1"],
    "expression": [
        *["$atom"] * 5,
        "$expression | $filter",
        "($expression)$filters",
        "($expression $binary $expression)",
        "(x $binary x)",
        *["$amount", "($amount $compute $amount)", "($amount $compare $amount)"] * 3,
        *("([$atom] + [$atom])", "($amount in [$amount, $amount])", "($amount not in [$amount, $amount])"),
        "($expression < $atom <= $expression)",
        "$unary($expression)",
        "($expression).$key",
        "($expression)[$expression]",
        "($expression)[$part]",
        "($expression if $expression else $atom)",
        "($expression if $expression)",
        "[$expression, $expression]",
        "{'name': $expression, $text: $atom}",
        "($expression is $test)",
        "($expression is not $test)",
        "$function($expression)",
        "loop.$key ~ $expression",
    ],
}
for _name in _BY_ATTRIBUTE:
    _RULES[f"filter_{_name}"] += [f"{_name}(attribute={key})" for key in ("0", *map(repr, _KEYS))]
for _name in ("map", "select", "reject"):
    _RULES[f"filter_{_name}"] += [f"{_name}({each!r})" for each in (FILTERS if _name == "map" else TESTS)]
_RARE = ("big", "i", "m", "ns")
"""Names that seldom mean anything."""
_LEAVES = {"statement": "$plain", "expression": "$atom"}
_CHOICES = {symbol: st.sampled_from(choices) for symbol, choices in _RULES.items()}
_PLAIN_CHOICES = {
    symbol: st.sampled_from([each for each in choices if not OTHERWISE.search(each) and each not in _RARE] or choices)
    for symbol, choices in _RULES.items()
}


@st.composite
def _grown(draw: st.DrawFn, choices: dict[str, st.SearchStrategy[str]], most: int = 3, start: str = "$body") -> str:
    def grow(text: str, **left: int) -> str:
        return re.sub(r"\$(\w+)", lambda found: replaced(found[1], **left), text)

    def replaced(symbol: str, **left: int) -> str:
        if symbol in left:
            left[symbol] -= 1
        return grow(_LEAVES[symbol] if left.get(symbol, 0) < 0 else draw(choices[symbol]), **left)

    return grow(start, statement=draw(st.integers(1, most)), expression=most)


_CHARACTERS = st.sampled_from(["", "{", "}", "%", "'", "(", " "])
_any = mostly(_grown(_CHOICES), _grown(_CHOICES).flatmap(lambda made: edited(made, _CHARACTERS, 2)), one_in=20)


def _fields(template: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    names = [("text",), ("html",), ("text", "html"), ("text", "subject")]
    return st.one_of([st.fixed_dictionaries(dict.fromkeys(each, template)) for each in names])


_value = st.sampled_from([SECRET, "", "text", "<i>", "12", 0, 1, -3, 2.5, True, False, None, 2**80, "ß İ"])
_flat = st.one_of(_value, st.lists(_value, max_size=3), st.dictionaries(st.sampled_from(_KEYS), _value, max_size=3))
_deep = st.one_of(_value, st.lists(_flat, max_size=3), st.dictionaries(st.sampled_from(_KEYS), _flat, max_size=3))
_all = st.fixed_dictionaries(
    {
        "a": st.sampled_from(["Jane", "<b>", "é", 5, 0, 1.5, True]),
        "b": _deep,
        "n": st.sampled_from([0, 3, -7, 12.25, 2**60, 300]),
        "xs": st.lists(_flat, max_size=4),
        "order": st.builds(
            lambda values, x: {
                "items": 3,
                "values": values,
                "name": "Order",
                "price": 9.5,
                "lines": [{"name": f"Thing {number}", "price": number / 4, "x": x} for number in range(3)],
            },
            *(_flat, st.sampled_from(["y", 1, None])),
        ),
        "user": st.just({"name": SECRET, "list": [SECRET, SECRET]}),
        "secret": st.just(SECRET),
        "empty": st.just(""),
        "null": st.none(),
        "x": _deep,
    },
    optional={"big": st.sampled_from(["é ", "<&", "x", "😀"]).map(lambda text: text * 20_000)},
)


def _plain(made: dict[str, Any]) -> dict[str, Any]:
    """Without null, which Jinja2 prints."""
    plain: dict[str, Any] = json.loads(json.dumps(made).replace("null", "7"))
    return plain


def _without(made: dict[str, Any], lost: str | None) -> dict[str, Any]:
    return {name: each for name, each in made.items() if name != lost}


_lost = mostly(st.none(), st.sampled_from(["a", "b", "n", "xs", "order", "user", "x"]), one_in=4)
mails = st.one_of(
    *[
        st.tuples(_fields(_grown(_PLAIN_CHOICES, 2, start)), _all.map(_plain))
        for start in ("{{ $expression }}", "$body")
    ],
    st.tuples(_fields(_any), st.builds(_without, _all, _lost)),
)
"""Templates of some fields, and what a recipient has for them. All but the last are to be as Jinja2 makes them."""
