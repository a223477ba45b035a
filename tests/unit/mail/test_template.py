"""Templates: what they may do, and how far."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mailer.errors import InvalidMessage
from mailer.mail.template import compiled
from mailer.mail.template.bounds import MAX_SOURCE_CHARS, Heavy, Meter

NESTED = "{% set ns = namespace(t=[1]) %}{% for i in range(99) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}"


def render(source: str, field: str = "text", **variables: Any) -> str:
    return compiled(source, field).render(variables)


def refusal(source: str, field: str = "text", **variables: Any) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        render(source, field, **variables)
    return caught.value


def test_html_is_escaped_and_text_is_not() -> None:
    assert render("{{ name }}", "html", name="<b>") == "&lt;b&gt;"
    assert render("{{ name }}", "text", name="<b>") == "<b>"
    assert render("{{ name }}", "subject", name="<b>") == "<b>"
    assert render("{{ name | safe }}{% macro m() %}<i>{{ name }}{% endmacro %}{{ m() }}", "html", name="<b>") == (
        "<b><i>&lt;b&gt;"
    )


def test_a_source_without_tags_is_left_alone() -> None:
    source = "100 % {off} \r\n\r\n"
    assert render(source) == source
    assert compiled(source, "text").names == frozenset()


def test_the_last_line_break_stays() -> None:
    assert render("{{ a }}\n", a=1) == "1\n"


def test_loops_know_their_place() -> None:
    source = "{% for x in xs %}{{ loop.index }}/{{ loop.length }}{{ '' if loop.last else ',' }}{% endfor %}"
    assert render(source, xs=["a", "b"]) == "1/2,2/2"


def test_what_a_loop_sets_stays_in_its_turn_but_for_a_namespace() -> None:
    assert render("{% set n = 0 %}{% for x in xs %}{% set n = n + x %}{{ n }}{% endfor %}{{ n }}", xs=[1, 2]) == "120"
    source = "{% set ns = namespace(n=0) %}{% for x in xs %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}"
    assert render(source, xs=[1, 2]) == "3"


def test_a_dot_means_a_key() -> None:
    order = {"values": 5, "items": [3], "keys": {"get": "x"}}
    assert render("{{ order.values }} {{ order.items[0] }} {{ order.keys.get }}", order=order) == "5 3 x"


@pytest.mark.parametrize(
    ("source", "lacking"),
    [
        ("{{ user.name.title }}", "user.name.title is not given"),
        ("{{ order.copy }}", "order.copy is not given"),
        ("{{ ''.__class__ }}", "__class__ is not given"),
        ("{{ order['__class__'] }}", "order['__class__'] is not given"),
        ("{{ xs.append }}", "xs.append is not given"),
        ("{{ order | map(attribute='__class__') | join }}", ""),
    ],
)
def test_there_are_no_attributes(source: str, lacking: str) -> None:
    assert lacking in str(refusal(source, user={"name": "jo"}, order={"a": 1}, xs=[1]))


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("order.items()", "Write x | items"),
        ("name.upper()", "Write x | upper"),
        ("name.split(' ')", "Write x | split(' ')"),
        ("order.get('a')", "Write x.name | default('...')"),
        ("name.strange()", "a filter"),
        ("'{:>1000000000}'.format(1)", "Write '%s' | format(x), or a ~ b"),
    ],
)
def test_there_are_no_methods_and_the_error_names_the_filter(call: str, instead: str) -> None:
    error = refusal(f"{{{{ {call} }}}}", order={}, name="x")
    assert error.field == "text"
    assert "There are no methods" in error.problem
    assert instead in error.remedy


@pytest.mark.parametrize(
    "source",
    [
        "{{ range }}",
        "{{ loop }}",
        "{{ xs }}",
        "{{ {'a': 1} }}",
        "{{ namespace() }}",
        "{{ self }}",
        "{{ xs ~ 'a' }}",
        "{% macro f() %}{% endmacro %}{{ f }}",
        "{% for x in xs %}{{ loop }}{% endfor %}",
        "{{ [xs] | join }}",
        "{{ [range] | join }}",
        "{{ range | tojson }}",
        "{{ range | string }}",
        "{{ loop.cycle }}",
    ],
)
def test_nothing_but_text_and_numbers_prints(source: str) -> None:
    assert refusal(source, xs=[1])


def test_null_is_false_and_default_helps_it() -> None:
    assert render("{% if name %}x{% else %}y{% endif %}{{ 'a' if name else 'b' }}", name=None) == "yb"
    assert render("{{ name | default('you') }}{{ name | d('you') }}", name=None) == "youyou"
    assert render("{{ a.b.c | default('x') }}{% if a.b %}{% else %}y{% endif %}", a=None) == "xy"
    assert render("{{ n is none }}{{ n is defined }}{{ n == none }}{{ 1 == n }}", n=None) == "TrueFalseTrueFalse"


def test_default_helps_an_empty_text_and_leaves_values_alone() -> None:
    assert render("{{ a | default('x') }}{{ b | default('x') }}{{ c | default('x') }}", a="", b=0, c=False) == "x0False"
    assert render("{{ a | default('x', true) }}", a=0) == "x"
    assert render("{{ nothing | default('x') }}{{ nothing.at.all | default('y') }}") == "xy"


@pytest.mark.parametrize(
    "source",
    [
        "{{ n }}",
        "{{ n | upper }}",
        "{{ n ~ 'a' }}",
        "{{ n + 1 }}",
        "{{ -n }}",
        "{{ n < 1 }}",
        "{{ 1 in n }}",
        "{% for x in n %}{% endfor %}",
        "{{ [n] | join }}",
        "{{ [n] | sum }}",
        "{{ [n, 1] | sort }}",
        "{{ 'a'[n] }}",
        "{{ [n] | map('upper') | join }}",
        "{{ n.x }}",
        "{{ n() }}",
        "{{ 'x' | replace('x', n) }}",
    ],
)
def test_null_where_a_value_is_needed_is_an_error(source: str) -> None:
    assert refusal(source, n=None)


def test_null_is_missing_as_a_variable_not_given_is() -> None:
    null, lacking = refusal("{{ order.total }}", order={"total": None}), refusal("{{ total }}")
    assert (null.field, lacking.field) == ("variables", "variables")
    assert null.problem == "lack what text asks for: order.total is null (line 1: {{ order.total }})"
    assert "total is not given" in lacking.problem
    assert null.remedy == lacking.remedy == "Give each recipient a value, or write {{ name | default('...') }}"


@pytest.mark.parametrize(
    "source", ["{{ name }}", "{{ person.name }}", "{% for x in xs %}{% endfor %}", "{% if nmae %}{% endif %}"]
)
def test_a_missing_variable_is_an_error(source: str) -> None:
    assert refusal(source, person={}).field == "variables"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ",
        "{% if %}",
        "{{ x | nothing }}",
        "{% unknown %}",
        "{{ x is nothing }}",
        "{{ x | upper(1) }}",
        "{{ f(*x) }}",
        "{{ x | round(digits=2) }}",
        "{% for x in y recursive %}{% endfor %}",
        "{{ 'a' 1 }}",
        "{{ [1 }}",
        "{{ 1e999 }}",
        "{{ " + "9" * 5000 + " }}",
        "{{ " + "(" * 50 + "1" + ")" * 50 + " }}",
        "{{ " + "not " * 3000 + "1 }}",
        "{{ x" + " + 1" * 300 + " }}",
        "{% if 1 %}" * 200 + "{% endif %}" * 200,
        "{{ 1 }}" * 4000,
    ],
)
def test_a_broken_template_names_its_field_and_line(source: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        compiled(source, "html")
    assert caught.value.field == "html"
    assert "line 1" in caught.value.problem or "nested" in caught.value.problem


@pytest.mark.parametrize("tag", ["include 'x'", "import 'x' as y", "from 'x' import y", "extends 'x'"])
def test_there_are_no_other_templates(tag: str) -> None:
    assert refusal(f"{{% {tag} %}}").remedy == "There are no other templates: put the whole text here"


@pytest.mark.parametrize(
    "css",
    ["@media(max-width:600px){#body{width:100%}}", "@media(max-width:600px){#body{width:100%}}{# ours #}", "a{%b}"],
)
def test_the_way_out_for_css_is_named_and_works(css: str) -> None:
    error = refusal(f"<style>\n{css}</style>", "html")
    assert "line 2" in error.problem
    assert "write a space after the brace, or put {% raw %} before it and {% endraw %} after it" in error.remedy
    assert render(f"{{% raw %}}{css}{{% endraw %}}", "html") == css
    if "#}" not in css:
        assert render(css.replace("{#", "{ #").replace("{%", "{ %"), "html")


def test_an_error_quotes_the_place_and_no_value() -> None:
    long = "<p>" + "x" * 5000 + "\n" + "y" * 500
    for source in ("{{ secret | round }}", "{{ secret + 1 }}", "{{ secret.x }}", "{{ secret * secret }}"):
        error = refusal(f"{long}{source}z", secret="4711-token")
        assert f"{source}z" in error.problem
        assert "line 2: yyy" in error.problem
        assert "4711" not in f"{error!r} {error.__cause__!r}"
        assert len(str(error)) < 400


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'x' | center(9999) }}{% endfor %}",
        "{{ [1] * 10**9 }}",
        "{{ 'x' | center(10**9) }}",
        "{{ '' | center(0-10**12) }}{% for i in range(3000000) %}{% endfor %}x",
        "{{ [''] | map('center', 0-10**12) | list | length }}{% for i in range(3000000) %}{% endfor %}x",
        "{{ 'x' | indent(10**9) }}",
        "{{ 'x' | wordwrap(10**9) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '%.1000000000f' | format(1) }}",
        "{{ '%*d' | format(10**9, 1) }}",
        "{{ [1] | slice(10**9) | list }}",
        "{{ [1] | batch(10**9, 1) }}",
        "{{ 1.5 | round(10**9) }}",
        "{{ big | replace('', big) }}",
        "{{ [big] * 1000 | join(big) }}",
        "{{ big | title }}{{ big | striptags }}{{ big | urlencode }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ 9 ** 9999 * 9 ** 9999 }}",
        "{{ 2.0 ** 99999 }}",
        "{{ 10**400 | float + 10**400 / 3 }}",
        "{{ 1e308 * 10 }}",
        "{{ (0 - 8) ** 0.5 }}",
        "{{ '%1000000000d' % 1 }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(15) }}",
        "{% macro f() %}{{ caller() }}{% endmacro %}{% for i in range(99999) %}{% call f() %}{% endcall %}{% endfor %}",
        "{% set ns = namespace(t='x') %}{% for i in range(99) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}",
        "{% set ns = namespace(t=[1]) %}{% for i in range(99) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
        NESTED + "{{ ns.t == ns.t }}",
        NESTED + "{{ ns.t | tojson }}",
        "{% set ns = namespace() %}{% set ns.t = ns %}{{ ns | tojson }}",
        "{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
        "{% for i in range(9999) %}{{ [] | map(attribute=big) | list | length }}{% endfor %}",
        "{% for i in range(9999) %}{{ [] | sort(attribute=big) | length }}{% endfor %}",
        "{% for i in range(9999) %}{{ 'x y z' | truncate(3, end=big) }}{% endfor %}",
        "{% for i in range(9999) %}{{ big == big ~ '' }}{% endfor %}",
        "{{ big | trim(big) }}",
        "{{ big }}" * 20,
        "{{ 1 / 0 }}",
        "{{ [1] | random }}",
    ],
)
def test_a_template_bomb_is_an_error_soon(source: str) -> None:
    began = time.thread_time()
    assert refusal(source, big="é " * 130_000)
    assert time.thread_time() - began < 10


def test_the_bounds_hold_for_all_templates_of_a_message_together() -> None:
    meter, template = Meter(), compiled("{% for i in range(5000) %}{{ i }}{% endfor %}", "text")
    template.render({}, meter)
    with pytest.raises(InvalidMessage, match="more than 100,000 steps"):
        [template.render({}, meter) for _ in range(5)]


def test_a_template_has_an_end_to_its_length_and_a_plain_text_has_not() -> None:
    long = "x" * MAX_SOURCE_CHARS
    assert refusal(long + "{{ 1 }}").problem.endswith("it has more than 524,288 characters")
    assert render(long[7:] + "{{ 1 }}").endswith("x1")
    assert render(long + long) == long + long


def test_no_count_gives_steps_or_characters_back() -> None:
    meter = Meter(10, 10)
    meter.step(-(10**12))
    meter.read(-(10**12))
    meter.write(-(10**12))
    assert (meter.steps, meter.chars) == (10, 10)


def test_a_width_below_0_pads_nothing() -> None:
    assert render("{{ 'x' | center(0-10**30) }}") == "x"


def test_what_takes_longer_than_was_granted_is_heavy_and_no_error() -> None:
    template = compiled("{% for i in range(n) %}x{% endfor %}", "text")
    assert template.render({"n": 10}, Meter(1000, heavy=True)) == "x" * 10
    with pytest.raises(Heavy):
        template.render({"n": 1000}, Meter(1000, heavy=True))


def test_a_template_that_cannot_fail_is_known_as_such() -> None:
    assert compiled("{% if vip %}{{ name | upper }}{% else %}{{ name }}{% endif %}", "text").total
    assert compiled("{{ name | default('you') }}", "text").total
    for source in ("{{ person.name }}", "{{ a / b }}", "{{ a if b }}", "{{ a | trim(b) }}", "{{ none }}", "{{ loop }}"):
        assert not compiled(source, "text").total, source
    assert not compiled("{{ a | urlencode | urlencode }}", "text").total
    assert not compiled("{% for x in xs %}{% endfor %}", "text").total
