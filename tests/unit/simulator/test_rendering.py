"""SES's template language, by itself."""

from __future__ import annotations

from typing import Any

import pytest

from mailer.simulator.rendering import AttributeMissing, Template, TemplateInvalid


@pytest.mark.parametrize(
    ("template", "data", "text"),
    [
        ("Dear {{name}}, {{ name }}!", {"name": "Ann"}, "Dear Ann, Ann!"),
        # SES does not escape HTML.
        ("{{name}} {{{name}}} {{&name}}", {"name": "<b>&"}, "<b>& <b>& <b>&"),
        ("{{person.name.first}}", {"person": {"name": {"first": "Ann"}}}, "Ann"),
        ("{{n}} {{x}} {{yes}} {{list}}", {"n": 1, "x": 2.5, "yes": True, "list": [1]}, "1 2.5 true [1]"),
        ("{{#each items}}{{name}},{{/each}}", {"items": [{"name": "a"}, {"name": "b"}]}, "a,b,"),
        ("{{#each items}}{{@index}}={{this}} {{/each}}", {"items": ["a", "b"]}, "0=a 1=b "),
        ("{{#each by}}{{@key}}={{this}} {{/each}}", {"by": {"k": 1}}, "k=1 "),
        ("{{#each items}}x{{else}}none{{/each}}", {"items": []}, "none"),
        ("{{#each items}}{{outer}}{{../outer}}{{/each}}", {"items": [{}], "outer": "o"}, "oo"),
        ("{{#if vip}}yes{{else}}no{{/if}}", {"vip": True}, "yes"),
        ("{{#if vip}}yes{{else}}no{{/if}}", {}, "no"),
        ("{{#if a}}a{{else if b}}b{{else}}c{{/if}}", {"b": 1}, "b"),
        ("{{#if a}}a{{else if b}}b{{else}}c{{/if}}", {"a": ""}, "c"),
        ("{{#unless vip}}no{{/unless}}", {"vip": 0}, "no"),
        ("{{#with person}}{{name}}{{/with}}", {"person": {"name": "Ann"}}, "Ann"),
        ("a{{! not {this} }}b{{!-- nor {{this}} --}}c", {}, "abc"),
        ('{{#* inline "foot"}}-- {{name}}{{/inline}}Hi.{{> foot}}', {"name": "Ann"}, "Hi.-- Ann"),
        ("{ {{name}} } }}", {"name": "x"}, "{ x } }}"),
    ],
)
def test_what_aws_documents_renders(template: str, data: dict[str, Any], text: str) -> None:
    assert Template(template).render(data) == text


@pytest.mark.parametrize(
    ("template", "data", "name"),
    [
        ("{{name}}", {}, "name"),
        ("{{name}}", {"name": None}, "name"),
        ("{{person.name}}", {"person": {}}, "person.name"),
        ("{{person.name}}", {"person": "Ann"}, "person.name"),
        ("{{#each items}}{{name}}{{/each}}", {"items": [{"name": "a"}, {}]}, "name"),
    ],
)
def test_a_value_that_is_missing_fails_the_rendering(template: str, data: dict[str, Any], name: str) -> None:
    with pytest.raises(AttributeMissing, match=f"Attribute '{name}' is not present in the rendering data."):
        Template(template).render(data)


@pytest.mark.parametrize(
    "template",
    [
        "{{#if a}}",
        "{{/if}}",
        "{{else}}",
        "{{#if a}}{{/each}}",
        "{{#loop a}}{{/loop}}",
        "{{> nowhere}}",
        "{{a b}}",
        "{{}}",
        "{{#if}}{{/if}}",
        '{{#* inline "x"}}',
        "{{#if a}}" * 40 + "{{/if}}" * 40,
    ],
)
def test_what_is_no_template_is_found_before_it_is_rendered(template: str) -> None:
    with pytest.raises(TemplateInvalid):
        Template(template)


@pytest.mark.parametrize(
    ("template", "data"),
    [
        ('{{#* inline "x"}}{{> x}}{{/inline}}{{> x}}', {}),
        ("{{#each a}}{{#each a}}{{#each a}}x{{/each}}{{/each}}{{/each}}", {"a": list(range(1000))}),
        ("{{#each a}}{{b}}{{/each}}", {"a": list(range(1000)), "b": "x" * 100_000}),
    ],
)
def test_what_does_not_end_is_ended(template: str, data: dict[str, Any]) -> None:
    with pytest.raises(TemplateInvalid):
        Template(template).render(data)
