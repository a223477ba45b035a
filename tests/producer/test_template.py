"""Templates: what they may do, and how far."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mailer.errors import InvalidMessage
from mailer.template import compiled


def render(source: str, field: str = "text", **variables: Any) -> str:
    return compiled(source, field).render(variables)


def test_html_is_escaped_and_text_is_not() -> None:
    assert render("{{ name }}", "html", name="<b>") == "&lt;b&gt;"
    assert render("{{ name }}", "text", name="<b>") == "<b>"
    assert render("{{ name }}", "subject", name="<b>") == "<b>"


def test_a_source_without_tags_is_left_alone() -> None:
    source = "100 % {off} \r\n\r\n"
    assert render(source) == source
    assert compiled(source, "text").names == frozenset()


def test_the_last_line_break_stays() -> None:
    assert render("{{ a }}\n", a=1) == "1\n"


def test_loops_know_their_place() -> None:
    source = "{% for x in xs %}{{ loop.index }}/{{ loop.length }}{{ '' if loop.last else ',' }}{% endfor %}"
    assert render(source, xs=["a", "b"]) == "1/2,2/2"


@pytest.mark.parametrize("source", ["{{ name }}", "{{ person.name }}", "{% for x in xs %}{% endfor %}"])
def test_an_undefined_variable_is_an_error(source: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        render(source, person={})
    assert caught.value.field == "variables"


@pytest.mark.parametrize("source", ["{{ ", "{% if %}", "{{ x | nothing }}", "{% unknown %}"])
def test_a_broken_template_names_its_field_and_line(source: str) -> None:
    with pytest.raises(InvalidMessage, match="line 1") as caught:
        compiled(source, "html")
    assert caught.value.field == "html"


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
        "{{ 'x' * 10**9 }}",
        "{{ 10**9 * 'x' }}",
        "{{ [1] * 10**9 }}",
        "{{ 'x'.ljust(10**9) }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(50) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ 1 / 0 }}",
        "{% include 'x' %}",
    ],
)
def test_a_template_bomb_is_an_error_soon(source: str) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidMessage):
        render(source)
    assert time.monotonic() - started < 30


def test_a_template_that_cannot_fail_is_known_as_such() -> None:
    assert compiled("{% if vip %}{{ name | upper }}{% else %}{{ name }}{% endif %}", "text").total
    assert not compiled("{{ person.name }}", "text").total
    assert compiled("{{ name | default('you') }}", "text").total
    assert not compiled("{{ a / b }}", "text").total
    assert not compiled("{{ a if b }}", "text").total
    assert not compiled("{{ a | trim(b) }}", "text").total
    assert not compiled("{{ a | urlencode | urlencode }}", "text").total
    assert not compiled("{% for x in xs %}{% endfor %}", "text").total
