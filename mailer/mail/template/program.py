"""Facts about a template during its compilation, shared by expressions and statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import nodes

from mailer.mail.template.bounds import MAX_DEPTH, Lacking, Refused
from mailer.mail.template.values import MISSING, Frame


class Program:
    """The template of one field, with ``weight`` nodes. ``bound`` are the names that it sets itself, anywhere. ``free``
    are the other names that it reads, at ``uses`` places. Of these, it reads the ``needed`` ones without a default, and
    tests the ``asked`` ones for presence. ``total`` is false once a part can fail for texts and numbers, or multiply
    them.
    """

    def __init__(self, tree: nodes.Template, *, autoescape: bool) -> None:
        self.autoescape = autoescape
        self._sizes: dict[int, tuple[int, int]] = {}
        self.weight, _ = self._measure(tree, 0)
        self.total = True
        self.uses = 0
        self.free: set[str] = set()
        self.needed: set[str] = set()
        self.asked: set[str] = set()
        self.bound = {"loop", "caller", *(each.name for each in tree.find_all(nodes.Macro))}
        self.bound.update(each.name for each in tree.find_all(nodes.Name) if each.ctx != "load")

    def depth_of(self, node: nodes.Node) -> int:
        """The depth of the tree below ``node``."""
        return self._sizes[id(node)][1]

    def weight_of(self, parts: Sequence[nodes.Node]) -> int:
        """The steps of one run through ``parts``."""
        return 1 + sum(self._sizes[id(part)][0] for part in parts)

    def _measure(self, node: nodes.Node, depth: int) -> tuple[int, int]:
        if depth > MAX_DEPTH:
            raise Refused("it is nested too deeply", "Simplify it", place=node.lineno)
        count = deepest = 1
        for child in node.iter_child_nodes():
            more, below = self._measure(child, depth + 1)
            count += more
            deepest = max(deepest, below + 1)
        self._sizes[id(node)] = count, deepest
        return count, deepest


def described(node: nodes.Node | None) -> str:
    """The name of an expression in an error: ``order.total``, or ``a value``."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{described(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{described(node.node)}[{node.arg.value!r:.40}]"
    if isinstance(node, nodes.Filter):
        return described(node.node)
    return "a value"


def needed(value: Any, what: str) -> Any:
    """``value``. Raises Lacking if it is missing."""
    if value is None or value is MISSING:
        raise Lacking(what, is_null=value is None)
    return value


def is_true(value: Any, what: str) -> bool:
    """Whether ``value`` is true. Null is false. Raises Lacking for `MISSING`."""
    if value is MISSING:
        raise Lacking(what, is_null=False)
    return bool(value)


def inner(frame: Frame, outside: dict[str, Any]) -> dict[str, Any]:
    """A copy of the names ``outside``, for an inner scope."""
    frame.meter.step(1 + len(outside) // 16)
    return outside.copy()
