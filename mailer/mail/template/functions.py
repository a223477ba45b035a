"""The functions of a template: ``range``, ``namespace`` and its own macros."""

from __future__ import annotations

from typing import Any, Final

from mailer.mail.template.bounds import Refused
from mailer.mail.template.program import inner
from mailer.mail.template.values import MISSING, Frame, Function, Macro, Namespace, kind


def called(frame: Frame, function: Any, args: list[Any], named: dict[str, Any], caller: Macro | None = None) -> Any:
    """Call a function or a macro with the arguments, and return its result."""
    if isinstance(function, Macro):
        return _macro(frame, function, args, named, caller)
    if isinstance(function, Function):
        if caller is not None:
            raise Refused("only a macro takes a call block", "Call a macro")
        return function.call(frame, args, named)
    raise Refused(f"{kind(function)} cannot be called", "Leave the brackets out")


def _macro(frame: Frame, macro: Macro, args: list[Any], named: dict[str, Any], caller: Macro | None) -> str:
    names = [name for name, _ in macro.parameters]
    if len(args) > len(names) or not named.keys() <= set(names[len(args) :]):
        raise Refused(f"{macro.name:.80} takes other arguments", f"It takes {', '.join(names) or 'none':.200}")
    frame.meter.enter(macro.depth)
    outside, frame.local = frame.local, inner(frame, macro.scope)
    frame.local["caller"] = MISSING if caller is None else caller
    for position, (name, default) in enumerate(macro.parameters):
        if position < len(args):
            value = args[position]
        elif name in named:
            value = named[name]
        else:
            value = MISSING if default is None else default(frame)
        frame.local[name] = value
    made = macro.body(frame)
    frame.local = outside
    frame.meter.leave(macro.depth)
    return frame.made(made)


def _range(frame: Frame, args: list[Any], named: dict[str, Any]) -> list[int]:
    if named or not 1 <= len(args) <= 3 or not all(type(arg) is int for arg in args):
        raise Refused("range takes one to three whole numbers", "Write | int")
    if len(args) == 3 and args[2] == 0:
        raise Refused("the step of a range is 0", "Use another")
    numbers = range(*args)
    try:
        frame.meter.step(1 + len(numbers))
    except OverflowError:
        raise Refused("the range is too long", "Make it shorter") from None
    return list(numbers)


def _namespace(_: Frame, args: list[Any], named: dict[str, Any]) -> Namespace:
    if args:
        raise Refused("a namespace takes its values by name", "Write namespace(total=0)")
    return Namespace(named)


FUNCTIONS: Final = {"range": Function(_range), "namespace": Function(_namespace)}
