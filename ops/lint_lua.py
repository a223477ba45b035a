"""Lint the queue's Lua: ``python -m ops.lint_lua FILE...``; exit code 1 if anything is wrong.

Syntax, names that nothing defines (Redis reports these only when the line runs), locals that nothing uses, and globals
that are written (Redis refuses them). Of the parts of a script (mailer/queue/script.py): that each names what comes in,
that it stands above in the script, and that what is asked of a part is something it offers, and the other way round.
Scopes are not told apart: a name defined anywhere in a file counts. luacheck does more and is not to be had from PyPI.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from luaparser import ast, astnodes

GLOBALS = {
    *("redis", "cjson", "cmsgpack", "bit", "struct", "KEYS", "ARGV", "string", "math", "table", "ipairs", "pairs"),
    *("next", "select", "tonumber", "tostring", "type", "unpack", "assert", "error", "pcall"),
    "part",
}
OFFERS = "offers"
_PART = re.compile(r"^local (\w+) = part '(\w+)'$", re.MULTILINE)
_NEEDS = re.compile(r"^-- Needs (\w+(?:, \w+)*)\.$", re.MULTILINE)
_RETURN = re.compile(r"^return\b", re.MULTILINE)


@dataclass
class Names:
    """The names in a file."""

    defined: set[str] = field(default_factory=set)
    """By locals, parameters and loops."""
    written: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    asked: set[tuple[str, str]] = field(default_factory=set)
    """``name.member``, and ``name().member``."""
    offered: set[str] = field(default_factory=set)


def problems(scripts: list[Path]) -> list[str]:
    """The faults of the scripts and of their parts, a line each."""
    found: set[str] = set()
    parts = {part: _names_in(part, found) for script in scripts for _, part, _ in parts_of(script)}
    needs = {part: set(", ".join(_NEEDS.findall(_text(part))).split(", ")) - {""} for part in parts}
    asked: set[tuple[Path, str]] = set()
    for script in scripts:
        names = _names_in(script, found)
        bound: dict[str, Path] = {}
        needed: set[str] = set()
        for name, part, above in parts_of(script):
            defined_above = _names(above).defined
            found |= {
                f"{script}: {part.stem} needs {each}, which is not defined above it"
                for each in needs[part] - defined_above
            }
            bound[name], needed = part, needed | needs[part]
        for path, each in ((script, names), *((part, parts[part]) for part in bound.values())):
            for name, member in each.asked:
                bound_to = bound.get(name)
                if bound_to and (path == script or name in needs[path]) and parts[bound_to].offered:
                    asked.add((bound_to, member))
                    if member not in parts[bound_to].offered:
                        found.add(f"{_place(path, member)} is not offered by {bound_to.stem}")
        found.update(_wrong(script, names, used=needed))
    for part, names in parts.items():
        found.update(_wrong(part, names, needs=needs[part]))
        found |= {f"{_place(part, name)} is needed and not used" for name in needs[part] - names.read}
        found |= {
            f"{_place(part, name)} is offered and never used" for name in names.offered if (part, name) not in asked
        }
        if len(_RETURN.findall(_text(part))) != 1:
            found.add(f"{part}: it returns once, at its end")
    return sorted(found)


def _wrong(
    path: Path, names: Names, *, needs: AbstractSet[str] = frozenset(), used: AbstractSet[str] = frozenset()
) -> Iterator[str]:
    for name in names.read - names.defined - GLOBALS - needs:
        yield f"{_place(path, name)} is not defined"
    for name in names.written - names.defined | names.written & GLOBALS:
        yield f"{_place(path, name)} is written, but no local"
    for name in names.defined - names.read - used:
        if not name.startswith("_"):
            yield f"{_place(path, name)} is defined and never used"


def parts_of(script: Path) -> list[tuple[str, Path, str]]:
    """The name that each part of the script has there, where it lies, and the text above it."""
    text = _text(script)
    return [(at[1], script.parent / "parts" / f"{at[2]}.lua", text[: at.start()]) for at in _PART.finditer(text)]


def _names_in(path: Path, found: set[str]) -> Names:
    try:
        return _names(_text(path))
    except Exception as error:  # noqa: BLE001 - luaparser raises several kinds
        found.add(f"{path}: {error}")
        return Names()


def _names(text: str) -> Names:
    names = Names()
    defining: list[astnodes.Name] = []
    written: list[astnodes.Name] = []
    fields: list[astnodes.Name] = []
    every: list[astnodes.Name] = []
    for node in ast.walk(ast.parse(text)):
        names.offered |= _offered(node)
        match node:
            case astnodes.Name():
                every.append(node)
            case astnodes.LocalAssign() | astnodes.Forin():
                defining += node.targets
            case astnodes.Fornum():
                defining.append(node.target)
            case astnodes.LocalFunction():
                defining += [node.name, *node.args]
            case astnodes.Function() | astnodes.AnonymousFunction():
                defining += node.args
                # The name of a function is that of a local that stands above it, or a member of one.
                written += [node.name] if isinstance(node, astnodes.Function) else []
            case astnodes.Assign():
                written += node.targets
            case astnodes.Index() if node.notation == astnodes.IndexNotation.DOT:
                fields.append(node.idx)
                of = node.value.func if isinstance(node.value, astnodes.Call) else node.value
                names.asked |= {(of.id, node.idx.id)} if isinstance(of, astnodes.Name) else set()
            case astnodes.Field() if not node.between_brackets:
                fields.append(node.key)
    written = [node for node in written if isinstance(node, astnodes.Name)]
    # By identity: luaparser's nodes are equal when their names are.
    not_read = {id(node) for node in (*defining, *written, *fields)}
    names.defined = {node.id for node in defining if isinstance(node, astnodes.Name)}
    names.written = {node.id for node in written}
    names.read = {node.id for node in every if id(node) not in not_read}
    return names


def _offered(node: astnodes.Node) -> set[str]:
    """The members of the table that a part returns: given to it all at once, or one by one."""
    match node:
        case astnodes.Return(values=[astnodes.Table() as table]):
            pass
        case astnodes.LocalAssign() | astnodes.Assign() if isinstance(node.targets[0], astnodes.Name):
            table = node.values[0] if node.values and node.targets[0].id == OFFERS else None
        case (
            astnodes.Function(name=astnodes.Index() as member)
            | astnodes.Assign(targets=[astnodes.Index() as member, *_])
        ):
            return {member.idx.id} if isinstance(member.value, astnodes.Name) and member.value.id == OFFERS else set()
        case _:
            return set()
    fields = table.fields if isinstance(table, astnodes.Table) else []
    return {each.key.id for each in fields if isinstance(each.key, astnodes.Name)}


def _place(path: Path, name: str) -> str:
    """luaparser has no position for a name that is written."""
    text = _text(path)
    found = re.search(rf"^(?!\s*--).*\b{name}\b", text, re.MULTILINE)
    return f"{path}:{text.count(chr(10), 0, found.start()) + 1 if found else 1}: {name}"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    scripts = [Path(name) for name in arguments]
    found = problems(scripts)
    parts = {part for script in scripts for _, part, _ in parts_of(script)}
    print("\n".join(found) or f"{len(scripts)} Lua scripts and {len(parts)} parts: fine")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
