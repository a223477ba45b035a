"""Lint the broker's Lua: ``python -m ops.lint_lua FILE...``; exit code 1 if anything is wrong.

Syntax, names that nothing defines (Redis reports these only when the line runs), locals that nothing uses, and globals
that are written (Redis refuses them). A script is looked at together with its parts (mailer/queue/script.py). Scopes
are not told apart: a name defined anywhere in it counts. luacheck does more and is not to be had from PyPI.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from luaparser import ast, astnodes

GLOBALS = {
    *("redis", "cjson", "cmsgpack", "bit", "struct", "KEYS", "ARGV", "string", "math", "table", "ipairs", "pairs"),
    *("next", "select", "tonumber", "tostring", "type", "unpack", "assert", "error", "pcall"),
    "part",
}
_PART = re.compile(r"^part '(\w+)'$", re.MULTILINE)


def problems(scripts: list[Path]) -> list[str]:
    """What is wrong with the scripts and the parts that they are made of, a line each."""
    found: set[str] = set()
    unused: dict[str, bool] = {}
    for script in scripts:
        known, read_somewhere = set(GLOBALS), set()
        files = {path: _names_in(path, found) for path in (script, *_parts(script))}
        for defined, _, read in files.values():
            known |= defined
            read_somewhere |= read
        for path, (defined, written, read) in files.items():
            found |= {f"{_place(path, name)} is not defined" for name in read - known}
            found |= {f"{_place(path, name)} is written, but no local" for name in written - known | written & GLOBALS}
            for name in defined:
                # A part may offer more than this script uses.
                place = _place(path, name)
                unused[place] = unused.get(place, True) and name not in read_somewhere and not name.startswith("_")
    return sorted(found | {f"{place} is defined and never used" for place, alone in unused.items() if alone})


def _parts(script: Path) -> list[Path]:
    return [script.parent / "parts" / f"{name}.lua" for name in _PART.findall(script.read_text(encoding="utf-8"))]


def _names_in(path: Path, found: set[str]) -> tuple[set[str], set[str], set[str]]:
    try:
        return names(ast.parse(path.read_text(encoding="utf-8")))
    except Exception as error:  # noqa: BLE001 - luaparser raises several kinds
        found.add(f"{path}: {error}")
        return set(), set(), set()


def names(tree: astnodes.Chunk) -> tuple[set[str], set[str], set[str]]:
    """The names that locals, parameters and loops define; that assignments write; and that are read."""
    defining: list[astnodes.Name] = []
    written: list[astnodes.Name] = []
    fields: list[astnodes.Name] = []
    every: list[astnodes.Name] = []
    for node in ast.walk(tree):
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
                # The name of a function is that of a local that stands above it.
                written += [node.name] if isinstance(node, astnodes.Function) else []
            case astnodes.Assign():
                written += [target for target in node.targets if isinstance(target, astnodes.Name)]
            case astnodes.Index() if node.notation == astnodes.IndexNotation.DOT:
                fields.append(node.idx)
            case astnodes.Field() if not node.between_brackets:
                fields.append(node.key)
    # By identity: luaparser's nodes are equal when their names are.
    not_read = {id(node) for node in (*defining, *written, *fields)}
    return (
        {node.id for node in defining if isinstance(node, astnodes.Name)},
        {node.id for node in written},
        {node.id for node in every if id(node) not in not_read},
    )


def _place(path: Path, name: str) -> str:
    """luaparser has no position for a name that is written."""
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"^(?!\s*--).*\b{name}\b", text, re.MULTILINE)
    return f"{path}:{text.count(chr(10), 0, found.start()) + 1 if found else 1}: {name}"


def main(arguments: list[str]) -> int:
    scripts = [Path(name) for name in arguments]
    found = problems(scripts)
    parts = {part for script in scripts for part in _parts(script)}
    print("\n".join(found) or f"{len(scripts)} Lua scripts and {len(parts)} parts: fine")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
