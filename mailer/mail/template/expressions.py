"""Expressions: compile a node of the syntax tree to a function of a `Frame`.

A node type outside `_EXPRESSIONS` is not supported.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from jinja2 import nodes

from mailer.mail.template.bounds import Lacking, Refused
from mailer.mail.template.filters import (
    FILTERS,
    INSTEAD_OF_FUNCTIONS,
    INSTEAD_OF_METHODS,
    OF_NULL,
    SAFE_FOR_SCALARS,
    ask,
    check_arguments,
)
from mailer.mail.template.functions import FUNCTIONS, called
from mailer.mail.template.operators import ARITHMETIC, COMPARISONS, joined
from mailer.mail.template.program import Program, described, is_true, needed
from mailer.mail.template.tests import OF_MISSING, TESTS
from mailer.mail.template.values import MISSING, Evaluate, Frame, Loop, Macro, key_of, number_of

_NO_DEFAULT: Final = object()
_IN_NO_MAIL: Final = re.compile("[\0\ud800-\udfff]")
_ANSWERS = (nodes.Test, nodes.Compare, nodes.Not)


def expression(node: nodes.Node, program: Program) -> Evaluate:
    """Compile ``node`` to a function for its value. Raises Refused, with a place, for anything that templates do not
    support.
    """
    make = _EXPRESSIONS.get(type(node))
    if make is None:
        raise Refused(f"{type(node).__name__} is not there", "Write it otherwise", place=node.lineno)
    if type(node) not in _TOTAL:
        program.total = False
    try:
        return make(node, program)
    except Refused as error:
        raise error.at(node.lineno) from None


def condition(node: nodes.Node, program: Program) -> Callable[[Frame], bool]:
    """Compile ``node`` to a function that says whether it is true."""
    value, what = expression(node, program), described(node)
    if isinstance(node, _ANSWERS):
        return value
    return lambda frame: is_true(value(frame), what)


def _name(node: nodes.Name, program: Program) -> Evaluate:
    name = node.name
    program.uses += 1
    otherwise = FUNCTIONS.get(name, MISSING)
    if otherwise is not MISSING or name in program.bound:
        program.total = False
    if name not in program.bound:
        if otherwise is MISSING:
            program.free.add(name)
            program.needed.add(name)
        return lambda frame: frame.variables.get(name, otherwise)

    def of_template(frame: Frame) -> Any:
        found = frame.local.get(name, _NO_DEFAULT)
        return frame.variables.get(name, otherwise) if found is _NO_DEFAULT else found

    return of_template


def _captured(_: nodes.ContextReference, __: Program) -> Evaluate:
    return lambda frame: frame.captured


def _const(node: nodes.Const, program: Program) -> Evaluate:
    value = node.value
    if value is None:
        program.total = False
    elif not isinstance(value, str):
        number_of(value)
    elif _IN_NO_MAIL.search(value):
        raise Refused("the text has a character that no mail may have", "Leave it out")
    return lambda _: value


def _data(node: nodes.TemplateData, _: Program) -> Evaluate:
    return lambda frame: frame.made(node.data)


def _list(node: nodes.List | nodes.Tuple, program: Program) -> Evaluate:
    items = [expression(item, program) for item in node.items]
    return lambda frame: [item(frame) for item in items]


def _dict(node: nodes.Dict, program: Program) -> Evaluate:
    pairs = [(expression(pair.key, program), expression(pair.value, program)) for pair in node.items]

    def run(frame: Frame) -> dict[str, Any]:
        made = {}
        for key, value in pairs:
            found = key(frame)
            if not isinstance(found, str):
                raise Refused("a dict's key is no text", "Write | string")
            made[str(found)] = value(frame)
        return made

    return run


def _choice(node: nodes.CondExpr, program: Program) -> Evaluate:
    test, then = condition(node.test, program), expression(node.expr1, program)
    if node.expr2 is None:
        program.total = False
        return lambda frame: then(frame) if test(frame) else MISSING
    otherwise = expression(node.expr2, program)
    return lambda frame: then(frame) if test(frame) else otherwise(frame)


def _either(node: nodes.And | nodes.Or, program: Program) -> Evaluate:
    left, right, what = expression(node.left, program), expression(node.right, program), described(node.left)
    decisive = isinstance(node, nodes.Or)

    def run(frame: Frame) -> Any:
        value = left(frame)
        return value if is_true(value, what) is decisive else right(frame)

    return run


def _not(node: nodes.Not, program: Program) -> Evaluate:
    test = condition(node.node, program)
    return lambda frame: not test(frame)


def _excused(node: nodes.Node, program: Program) -> Evaluate:
    """Compile ``node`` like `expression`. Its name, or a part of its value, may be missing."""
    root = node
    while isinstance(root, nodes.Getattr | nodes.Getitem):
        root = root.node
    name = root.name if isinstance(root, nodes.Name) else None
    also_needed = name is None or name in program.needed
    value = expression(node, program)
    if name is not None and not also_needed:
        program.needed.discard(name)
    return value


def _difference(node: nodes.Sub, program: Program) -> Evaluate:
    """``a - b``. A column called ``First-Name`` looks like one."""
    run, names = _binary(node, program), _hyphenated(node)
    if len(names) < 2 or not program.free.issuperset(names):
        return run
    remedy = f"Write {{{{ {'_'.join(names)} }}}} where that is one name, as the - in it is a minus"

    def difference(frame: Frame) -> Any:
        if frame.variables.keys().isdisjoint(names):
            raise Lacking("-".join(names), is_null=False, remedy=f"{remedy:.200}")
        return run(frame)

    return difference


def _hyphenated(node: nodes.Node | None) -> list[str]:
    """The names of ``a - b - c``. The last may have filters. Empty for an expression with other parts."""
    names: list[str] = []
    while isinstance(node, nodes.Sub):
        last: nodes.Node | None = node.right
        while not names and isinstance(last, nodes.Filter):
            last = last.node
        if not isinstance(last, nodes.Name):
            return []
        names.append(last.name)
        node = node.left
    return [node.name, *reversed(names)] if isinstance(node, nodes.Name) else []


def _binary(node: nodes.BinExpr, program: Program) -> Evaluate:
    calculate = ARITHMETIC[node.operator]
    left, right = expression(node.left, program), expression(node.right, program)
    first, second = described(node.left), described(node.right)
    return lambda frame: calculate(needed(left(frame), first), needed(right(frame), second), frame.meter)


def _unary(node: nodes.UnaryExpr, program: Program) -> Evaluate:
    value, what, negative = expression(node.node, program), described(node.node), isinstance(node, nodes.Neg)

    def run(frame: Frame) -> int | float:
        number = number_of(needed(value(frame), what))
        return -number if negative else +number

    return run


def _concat(node: nodes.Concat, program: Program) -> Evaluate:
    parts = [(expression(part, program), described(part)) for part in node.nodes]
    return lambda frame: joined(
        [needed(part(frame), what) for part, what in parts], frame.meter, autoescape=frame.autoescape
    )


def _compare(node: nodes.Compare, program: Program) -> Evaluate:
    left, what = expression(node.expr, program), described(node.expr)
    steps = [_comparison(operand, program) for operand in node.ops]
    if len(steps) == 1:
        ((right, compare),) = steps
        return lambda frame: compare(frame, left(frame), what, right(frame))
    names = [what, *(described(operand.expr) for operand in node.ops)]

    def run(frame: Frame) -> bool:
        first = left(frame)
        for (right, compare), name in zip(steps, names, strict=False):
            second = right(frame)
            if not compare(frame, first, name, second):
                return False
            first = second
        return True

    return run


def _comparison(operand: nodes.Operand, program: Program) -> tuple[Evaluate, Callable[[Frame, Any, str, Any], bool]]:
    """The function for the right side of an operator, and the function that compares a left side with it."""
    calculate, is_order = COMPARISONS[operand.op], operand.op not in ("eq", "ne", "in", "notin")
    other = described(operand.expr)

    def compare(frame: Frame, left: Any, what: str, right: Any) -> bool:
        if left is MISSING or (left is None and is_order):
            raise Lacking(what, is_null=left is None)
        if right is MISSING or (right is None and is_order):
            raise Lacking(other, is_null=right is None)
        return bool(calculate(left, right, frame.meter))

    return expression(operand.expr, program), compare


def _key(node: nodes.Getattr, program: Program) -> Evaluate:
    owner, key = expression(node.node, program), node.attr
    return lambda frame: key_of(owner(frame), key)


def _item(node: nodes.Getitem, program: Program) -> Evaluate:
    owner = expression(node.node, program)
    if isinstance(node.arg, nodes.Slice):
        return _slice(owner, described(node.node), node.arg, program)
    key, what = expression(node.arg, program), described(node.arg)
    return lambda frame: key_of(owner(frame), needed(key(frame), what))


def _slice(owner: Evaluate, what: str, node: nodes.Slice, program: Program) -> Evaluate:
    bounds = [None if each is None else expression(each, program) for each in (node.start, node.stop, node.step)]

    def run(frame: Frame) -> Any:
        whole = needed(owner(frame), what)
        if not isinstance(whole, str | list):
            raise Refused("only lists and texts have slices", "Write | list")
        start, stop, step = (None if each is None else each(frame) for each in bounds)
        for each in (start, stop, step):
            if each is not None and not isinstance(each, int):
                raise Refused("a slice is made of whole numbers", "Write | int")
        part = slice(start, stop, step)
        length = len(range(*part.indices(len(whole))))
        frame.meter.read(length) if isinstance(whole, str) else frame.meter.step(1 + length)
        return whole[part]

    return run


def _filter(node: nodes.Filter, program: Program) -> Evaluate:
    name = node.name
    assert node.node is not None  # noqa: S101 - a filter of a block has the block's text
    of_null, of_missing = name in OF_NULL, name in ("default", "d")
    value = _excused(node.node, program) if of_missing else expression(node.node, program)
    run, what = FILTERS.get(name), described(node.node)
    args, named = arguments(node, program)
    if run is None:
        raise Refused(f"There is no filter {name:.80}", f"Use one of: {', '.join(FILTERS)}")
    check_arguments(run, len(args), frozenset(named))
    if name not in SAFE_FOR_SCALARS or named or len(args) > (name in OF_NULL) or _has_filter(node):
        program.total = False

    def apply(frame: Frame) -> Any:
        given = value(frame)
        if (given is None and not of_null) or (given is MISSING and not of_missing):
            raise Lacking(what, is_null=given is None)
        return run(frame, given)

    def apply_with(frame: Frame) -> Any:
        given = value(frame)
        if (given is None and not of_null) or (given is MISSING and not of_missing):
            raise Lacking(what, is_null=given is None)
        values = [arg(frame) for arg in args]
        more = {key: arg(frame) for key, arg in named.items()}
        if not of_missing and (MISSING in values or MISSING in more.values()):
            raise Lacking(f"an argument of {name}", is_null=False)
        return run(frame, given, *values, **more)

    return apply_with if args or named else apply


def _has_filter(node: nodes.Filter) -> bool:
    parts = [part for part in (node.node, *node.args) if part is not None]
    return any(isinstance(part, nodes.Filter) or part.find(nodes.Filter) for part in parts)


def _test(node: nodes.Test, program: Program) -> Evaluate:
    name = node.name
    test, value, what = TESTS.get(name), expression(node.node, program), described(node.node)
    if name in OF_MISSING and isinstance(node.node, nodes.Name):
        program.asked.add(node.node.name)
    args, named = arguments(node, program)
    if test is None:
        raise Refused(f"There is no test {name:.80}", f"Use one of: {', '.join(TESTS)}")
    check_arguments(test, len(args), frozenset(named))

    def run(frame: Frame) -> bool:
        given = value(frame)
        if given is MISSING and name not in OF_MISSING:
            raise Lacking(what, is_null=False)
        return ask(frame, name, test, given, [needed(arg(frame), f"an argument of {name}") for arg in args])

    return run


def arguments(
    node: nodes.Filter | nodes.Test | nodes.Call, program: Program
) -> tuple[list[Evaluate], dict[str, Evaluate]]:
    """The arguments of a call, by position and by name."""
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise Refused("* and ** give no arguments", "Write them one by one", place=node.lineno)
    return (
        [expression(arg, program) for arg in node.args],
        {str(each.key): expression(each.value, program) for each in node.kwargs},
    )


def call(node: nodes.Call, program: Program) -> Callable[..., Any]:
    """Compile a call to a function of a `Frame`, and of the ``caller`` for a call block. Raises Refused if it names an
    unknown function: a recipient's variables cannot be called."""
    callee = node.node
    if isinstance(callee, nodes.Name) and callee.name not in FUNCTIONS and callee.name not in program.bound:
        remedy = f"Write x | {callee.name}" if callee.name in FILTERS else INSTEAD_OF_FUNCTIONS.get(callee.name)
        remedy = remedy or "Give what it would make as a variable, without the brackets"
        problem = f"There is no function {callee.name:.80}"
        raise Refused(problem, f"{remedy}. The functions are {' and '.join(FUNCTIONS)}", place=callee.lineno)
    args, named = arguments(node, program)
    function, what = expression(callee, program), described(callee)

    def run(frame: Frame, caller: Macro | None = None) -> Any:
        found = needed(function(frame), what)
        values = [arg(frame) for arg in args]
        return called(frame, found, values, {key: arg(frame) for key, arg in named.items()}, caller)

    return run


def _call(node: nodes.Call, program: Program) -> Evaluate:
    method = node.node
    if not isinstance(method, nodes.Getattr):
        return call(node, program)
    if method.attr != "cycle" or not isinstance(method.node, nodes.Name) or method.node.name != "loop":
        instead = INSTEAD_OF_METHODS.get(method.attr, "a filter: x | filter")
        raise Refused(f"There are no methods, as {method.attr:.80}()", f"Write {instead}")
    args, named = arguments(node, program)
    loop = expression(method.node, program)

    def cycle(frame: Frame) -> Any:
        found = loop(frame)
        if not isinstance(found, Loop) or not args or named:
            raise Refused("loop.cycle takes values, in a loop", "Write loop.cycle('odd', 'even')")
        return args[found.index0 % len(args)](frame)

    return cycle


_BINARY = (nodes.Add, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow)

_EXPRESSIONS: Final[dict[type[nodes.Node], Callable[..., Evaluate]]] = {
    nodes.Name: _name,
    nodes.ContextReference: _captured,
    nodes.Const: _const,
    nodes.TemplateData: _data,
    nodes.List: _list,
    nodes.Tuple: _list,
    nodes.Dict: _dict,
    nodes.CondExpr: _choice,
    **dict.fromkeys((nodes.And, nodes.Or), _either),
    nodes.Not: _not,
    **dict.fromkeys(_BINARY, _binary),
    nodes.Sub: _difference,
    **dict.fromkeys((nodes.Neg, nodes.Pos), _unary),
    nodes.Concat: _concat,
    nodes.Compare: _compare,
    nodes.Getattr: _key,
    nodes.Getitem: _item,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.Call: _call,
}

_TOTAL: Final = frozenset(
    {nodes.Name, nodes.Const, nodes.TemplateData, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Filter}
)
"""Nodes that cannot fail, and cannot multiply their input, if each name has a text or a number."""
