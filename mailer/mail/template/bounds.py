"""Bounds of one message's templates, and their errors.

Every operation is counted before it runs. Producer and worker count alike: a template that renders at one renders at
the other. A step is one node of the syntax tree in one iteration of a loop, or `CHARS_PER_STEP` characters that an
operation reads or makes. It takes some tenths of a microsecond.
"""

from __future__ import annotations

MAX_STEPS = 100_000
"""Steps of one message. They take a twentieth of a second at most."""

MAX_CHARS = 4 * 1024 * 1024
"""Characters that one message's templates may add to their own text."""

MAX_TOKENS = 10_000
"""Names, numbers, texts and signs in the tags of one message's templates. Parsing them takes a tenth of a second."""

MAX_SOURCE_CHARS = 512 * 1024
"""Characters of one message's templates; templates without tags do not count. Parsing takes a tenth of a second, and
some 70 bytes for each character if the text is full of backslashes.
"""

MAX_DEPTH = 60
"""The maximum depth of the syntax tree."""

MAX_BRACKETS = 20
"""The maximum number of brackets open at once. The parser's stack grows by some fifteen calls with each."""

MAX_CALL_DEPTH = 200
"""The maximum sum of the depths of macros that call each other."""

MAX_INT_BITS = 1024
CHARS_PER_STEP = 4
_LONGEST_NAME_CHARS = 80


class Refused(Exception):
    """A template must not do this, at least not with these values. ``problem`` contains no value of a variable."""

    def __init__(self, problem: str, remedy: str = "", *, place: int | None = None) -> None:
        self.problem = problem
        self.remedy = remedy
        self.place = place
        super().__init__(problem)

    def at(self, place: int) -> Refused:
        """The same error, with ``place`` (in the source) if it has none yet."""
        if self.place is None:
            self.place = place
        return self


_WITHIN = {
    "loop": "loop.index, loop.first and their like are there within {% for %} only; at its ends loop.previtem and "
    "loop.nextitem need | default('...')",
    "caller": "caller is there within a macro only, where {% call %} calls it",
}


class Lacking(Refused):
    """A variable, or a part of one, is missing or null, but a value is needed.

    ``is_ours`` says that the name is not the recipient's: the template engine defines it, but not at this place.
    """

    def __init__(self, what: str, *, is_null: bool, remedy: str = "") -> None:
        ours = _WITHIN.get(what.partition(".")[0].partition("[")[0], "")
        super().__init__(f"{what:.{_LONGEST_NAME_CHARS}} is {'null' if is_null else 'not given'}", remedy or ours)
        self.is_ours = bool(ours)


class Heavy(Exception):
    """Rendering takes more than the small granted budget. Render it where nobody waits."""


class Meter:
    """The rest of one message's budget. With ``heavy``, exhaustion raises `Heavy` and does not prove the template
    invalid.
    """

    __slots__ = ("chars", "depth", "heavy", "steps")

    def __init__(self, steps: int = MAX_STEPS, chars: int = MAX_CHARS, *, heavy: bool = False) -> None:
        self.steps = steps
        self.chars = chars
        self.depth = 0
        self.heavy = heavy

    def step(self, count: int = 1) -> None:
        """Count steps. Raises if too few are left. A count below 0 gives nothing back."""
        if count > 0:
            self.steps -= count
        if self.steps < 0:
            self._over(f"it takes more than {MAX_STEPS:,} steps")

    def read(self, chars: int) -> None:
        """Count an operation on ``chars`` characters."""
        self.step(1 + chars // CHARS_PER_STEP)

    def write(self, chars: int) -> None:
        """Count characters of the rendered text."""
        if chars > 0:
            self.chars -= chars
        if self.chars < 0:
            self._over(f"it makes more than {MAX_CHARS:,} characters")

    def enter(self, depth: int) -> None:
        """Count a macro inside others. Call `leave` at its end."""
        self.depth += depth
        if self.depth > MAX_CALL_DEPTH:
            raise Refused("macros call each other too deeply", "Use a loop")

    def leave(self, depth: int) -> None:
        self.depth -= depth

    def _over(self, problem: str) -> None:
        if self.heavy:
            raise Heavy
        raise Refused(problem, "Let it do less")
