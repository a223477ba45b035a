"""Statements: compile a node of the syntax tree to a function that renders a `Frame` as text.

A node type outside `_STATEMENTS` is not supported. A body runs its pieces in order. The error of a piece gets the place
of the piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from jinja2 import nodes
from markupsafe import escape

from mailer.mail.template.bounds import Heavy, Refused
from mailer.mail.template.expressions import call, condition, expression
from mailer.mail.template.program import Program, described, inner, needed
from mailer.mail.template.values import MISSING, Evaluate, Frame, Loop, Macro, Namespace, items_of, kind, text_of

Piece = Callable[[Frame], str]
Bind = Callable[[Frame, Any], None]


def body(children: Sequence[nodes.Node], program: Program) -> Piece:
    """Compile these statements to a function for their text."""
    static: list[str] = []
    dynamic: list[tuple[int, Piece]] = []
    places: dict[int, int] = {}
    for child in children:
        parts = child.nodes if isinstance(child, nodes.Output) else [child]
        for part in parts:
            if isinstance(part, nodes.TemplateData):
                static.append(part.data)
                continue
            places[len(static)] = part.lineno
            dynamic.append((len(static), _piece(part, program)))
            static.append("")
    chars = sum(map(len, static))

    def run(frame: Frame) -> str:
        texts = static.copy()
        index = 0
        frame.meter.write(chars)
        try:
            for index, piece in dynamic:
                texts[index] = piece(frame)
        except Heavy:
            raise
        except Refused as error:
            raise error.at(places[index]) from None
        except Exception as error:  # noqa: BLE001 - its own text may contain a value
            words = f"it cannot be computed ({type(error).__name__})"
            raise Refused(words, "Check the values that go in", place=places[index]) from None
        return "".join(texts)

    return run


def _piece(node: nodes.Node, program: Program) -> Piece:
    if isinstance(node, nodes.Expr):
        return _output(node, program)
    make = _STATEMENTS.get(type(node))
    if make is None:
        name, instead = _ELSEWHERE.get(type(node), (type(node).__name__, "Write it otherwise"))
        place = next((part.lineno for part in (node, *node.find_all(nodes.Node)) if part.lineno), None)
        raise Refused(f"{{% {name} %}} is not there", instead, place=place)
    if not isinstance(node, nodes.If):
        program.total = False
    return make(node, program)


def _output(node: nodes.Expr, program: Program) -> Piece:
    value, what, autoescape = expression(node, program), described(node), program.autoescape
    name = node.name if isinstance(node, nodes.Name) and node.name in program.free else None

    def run(frame: Frame) -> str:
        # A mail mostly prints variables that are text.
        found = value(frame) if name is None else frame.variables.get(name, MISSING)
        text: str = found if type(found) is str else text_of(needed(found, what))
        if autoescape and not text.isalnum():
            text = escape(text)
        meter = frame.meter
        meter.chars -= len(text)
        if meter.chars < 0:
            meter.write(0)
        return text

    return run


def _if(node: nodes.If, program: Program) -> Piece:
    branches = [(condition(each.test, program), body(each.body, program)) for each in (node, *node.elif_)]
    otherwise = body(node.else_, program) if node.else_ else None

    def run(frame: Frame) -> str:
        for test, then in branches:
            if test(frame):
                return then(frame)
        return "" if otherwise is None else otherwise(frame)

    return run


def _for(node: nodes.For, program: Program) -> Piece:
    if node.recursive:
        raise Refused("loops are not recursive", "Write a macro that calls itself", place=node.lineno)
    source, what, bind = expression(node.iter, program), described(node.iter), _binding(node.target, program)
    test = None if node.test is None else condition(node.test, program)
    turn, otherwise = body(node.body, program), body(node.else_, program) if node.else_ else None
    weight, test_weight = program.weight_of(node.body), program.weight_of([] if node.test is None else [node.test])

    def run(frame: Frame) -> str:
        items = items_of(needed(source(frame), what), frame.meter)
        outside = frame.local
        if test is not None:
            kept = []
            for item in items:
                frame.meter.step(test_weight)
                frame.local = inner(frame, outside)
                bind(frame, item)
                if test(frame):
                    kept.append(item)
            items = kept
        texts = []
        loop = Loop(items)
        for loop.index0, item in enumerate(items):
            frame.meter.step(weight)
            frame.local = inner(frame, outside)
            frame.local["loop"] = loop
            bind(frame, item)
            texts.append(turn(frame))
        if not texts and otherwise is not None:
            frame.local = inner(frame, outside)
            texts.append(otherwise(frame))
        frame.local = outside
        return "".join(texts)

    return run


def _binding(target: nodes.Node, program: Program) -> Bind:
    """Compile the target of an assignment to a function that gives its name a value, or each of its names a part."""
    if isinstance(target, nodes.Name):
        name = target.name

        def bind(frame: Frame, value: Any) -> None:
            frame.local[name] = value

        return bind
    if isinstance(target, nodes.NSRef):
        owner, key = expression(nodes.Name(target.name, "load", lineno=target.lineno), program), target.attr

        def set_key(frame: Frame, value: Any) -> None:
            space = owner(frame)
            if not isinstance(space, Namespace):
                raise Refused(f"{kind(space)} has no keys to set", "Write {% set ns = namespace() %} first")
            space[key] = value

        return set_key
    if isinstance(target, nodes.Tuple):
        parts = [_binding(item, program) for item in target.items]

        def bind_parts(frame: Frame, value: Any) -> None:
            if not isinstance(needed(value, "an item"), list) or len(value) != len(parts):
                problem = f"{kind(value)} is not {len(parts)} values"
                raise Refused(problem, "Give the loop as many names as each item has parts")
            for part, each in zip(parts, value, strict=True):
                part(frame, each)

        return bind_parts
    raise Refused("nothing can be assigned to it", "Assign to a name", place=target.lineno)


def _assign(node: nodes.Assign | nodes.AssignBlock, program: Program) -> Piece:
    value = expression(node.node, program) if isinstance(node, nodes.Assign) else _block(node, program)
    bind = _binding(node.target, program)

    def run(frame: Frame) -> str:
        bind(frame, value(frame))
        return ""

    return run


def _scoped(children: Sequence[nodes.Node], program: Program) -> Piece:
    run = body(children, program)

    def run_inside(frame: Frame) -> str:
        outside = frame.local
        frame.local = inner(frame, outside)
        made = run(frame)
        frame.local = outside
        return made

    return run_inside


def _block(node: nodes.AssignBlock | nodes.FilterBlock, program: Program) -> Evaluate:
    """Compile a block to a function for its text, or for what its chain of filters makes of that."""
    made, change = _scoped(node.body, program), None
    if node.filter is not None:
        first = node.filter
        while first.node is not None:
            first = first.node  # type: ignore[assignment]
        first.node = nodes.ContextReference(lineno=node.filter.lineno)
        change = expression(node.filter, program)

    def run(frame: Frame) -> Any:
        frame.captured = frame.made(made(frame))
        return frame.captured if change is None else change(frame)

    return run


def _filter_block(node: nodes.FilterBlock, program: Program) -> Piece:
    value = _block(node, program)

    def run(frame: Frame) -> str:
        text = text_of(value(frame))
        frame.meter.write(len(text))
        return escape(text) if frame.autoescape else text

    return run


def _with(node: nodes.With, program: Program) -> Piece:
    values = [expression(value, program) for value in node.values]
    binds, run = [_binding(target, program) for target in node.targets], body(node.body, program)

    def run_with(frame: Frame) -> str:
        found = [value(frame) for value in values]
        outside = frame.local
        frame.local = inner(frame, outside)
        for bind, value in zip(binds, found, strict=True):
            bind(frame, value)
        made = run(frame)
        frame.local = outside
        return made

    return run_with


def _macro_maker(node: nodes.Macro | nodes.CallBlock, name: str, program: Program) -> Callable[[Frame], Macro]:
    run, depth, weight = body(node.body, program), program.depth_of(node), program.weight_of(node.body)
    defaults = [expression(default, program) for default in node.defaults]
    names = [arg.name for arg in node.args]
    parameters: list[tuple[str, Evaluate | None]] = [
        (each, defaults[at] if at >= 0 else None) for at, each in enumerate(names, len(defaults) - len(names))
    ]

    def counted(frame: Frame) -> str:
        frame.meter.step(weight)
        return run(frame)

    return lambda frame: Macro(name, parameters, counted, frame.local, depth)


def _macro(node: nodes.Macro, program: Program) -> Piece:
    make = _macro_maker(node, node.name, program)

    def run(frame: Frame) -> str:
        frame.local[node.name] = make(frame)
        return ""

    return run


def _call_block(node: nodes.CallBlock, program: Program) -> Piece:
    make, run = _macro_maker(node, "caller", program), call(node.call, program)
    return lambda frame: text_of(run(frame, make(frame)))


_STATEMENTS: Final[dict[type[nodes.Node], Callable[..., Piece]]] = {
    nodes.If: _if,
    nodes.For: _for,
    **dict.fromkeys((nodes.Assign, nodes.AssignBlock), _assign),
    nodes.FilterBlock: _filter_block,
    nodes.With: _with,
    nodes.Macro: _macro,
    nodes.CallBlock: _call_block,
}

_ALONE = "There are no other templates: put the whole text here"
_ELSEWHERE: Final[dict[type[nodes.Node], tuple[str, str]]] = {
    nodes.Include: ("include", _ALONE),
    nodes.Import: ("import", _ALONE),
    nodes.FromImport: ("from", _ALONE),
    nodes.Extends: ("extends", _ALONE),
    nodes.Block: ("block", "Leave the tag out and keep what is in it: it is for templates that extend each other"),
    nodes.Scope: ("autoescape", "Write | safe or | e"),
}
"""The statements of Jinja2 that are not supported."""
