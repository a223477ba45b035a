"""How far one message's templates may go, and the errors that say so.

Everything is counted down before it is done, and counted alike at the producer and at the worker: what renders here
renders there. A step is one node of the syntax tree in one turn of a loop, or `CHARS_PER_STEP` characters that an
operation reads or makes: some tenths of a microsecond.
"""

from __future__ import annotations

MAX_STEPS = 100_000
"""Steps of one message: a twentieth of a second at most."""

MAX_CHARS = 4 * 1024 * 1024
"""Characters that one message's templates may make beyond their own text."""

MAX_TOKENS = 10_000
"""Names, numbers, texts and signs within the tags of one message's templates: a tenth of a second to read."""

MAX_SOURCE_CHARS = 512 * 1024
"""Characters of one message's templates, those without tags not counted: a tenth of a second to read, and some 70 bytes
for each of a text full of backslashes."""

MAX_DEPTH = 60
"""How deep the syntax tree may be."""

MAX_BRACKETS = 20
"""How many brackets may be open at once. The parser goes some fifteen calls deeper with each."""

MAX_CALL_DEPTH = 200
"""The depths of the macros that call each other, added up."""

MAX_INT_BITS = 1024
CHARS_PER_STEP = 4
_LONGEST_NAME_CHARS = 80


class Refused(Exception):
    """What a template may not do, or not with these values. ``problem`` holds no variable's value."""

    def __init__(self, problem: str, remedy: str = "", *, place: int | None = None) -> None:
        self.problem = problem
        self.remedy = remedy
        self.place = place
        super().__init__(problem)

    def at(self, place: int) -> Refused:
        """The same, at this place in the source unless it knows a better one."""
        if self.place is None:
            self.place = place
        return self


_WITHIN = {
    "loop": "loop.index, loop.first and their like are there within {% for %} only; at its ends loop.previtem and "
    "loop.nextitem need | default('...')",
    "caller": "caller is there within a macro only, where {% call %} calls it",
}


class Lacking(Refused):
    """A variable, or a part of one, that is not given or null, where a value is needed.

    ``is_ours`` says that it is none of the recipient's: a name that the template itself is given, elsewhere.
    """

    def __init__(self, what: str, *, is_null: bool, remedy: str = "") -> None:
        ours = _WITHIN.get(what.partition(".")[0].partition("[")[0], "")
        super().__init__(f"{what:.{_LONGEST_NAME_CHARS}} is {'null' if is_null else 'not given'}", remedy or ours)
        self.is_ours = bool(ours)


class Heavy(Exception):
    """Rendering takes more than the little that was granted: do it where nobody waits."""


class Meter:
    """What is left of the bounds for one message. With ``heavy``, running out raises `Heavy` and proves nothing."""

    __slots__ = ("chars", "depth", "heavy", "steps")

    def __init__(self, steps: int = MAX_STEPS, chars: int = MAX_CHARS, *, heavy: bool = False) -> None:
        self.steps = steps
        self.chars = chars
        self.depth = 0
        self.heavy = heavy

    def step(self, count: int = 1) -> None:
        """Count steps. Raises where too few are left. A count below 0 gives none back."""
        if count > 0:
            self.steps -= count
        if self.steps < 0:
            self._over(f"it takes more than {MAX_STEPS:,} steps")

    def read(self, chars: int) -> None:
        """Count an operation on so many characters."""
        self.step(1 + chars // CHARS_PER_STEP)

    def write(self, chars: int) -> None:
        """Count characters of the rendered text."""
        if chars > 0:
            self.chars -= chars
        if self.chars < 0:
            self._over(f"it makes more than {MAX_CHARS:,} characters")

    def enter(self, depth: int) -> None:
        """Count a macro within others; `leave` it again."""
        self.depth += depth
        if self.depth > MAX_CALL_DEPTH:
            raise Refused("macros call each other too deeply", "Use a loop")

    def leave(self, depth: int) -> None:
        self.depth -= depth

    def _over(self, problem: str) -> None:
        if self.heavy:
            raise Heavy
        raise Refused(problem, "Let it do less")
