"""Filters of texts and numbers. Each counts its input and its output before it runs.

Arguments and results are the same as in Jinja2, if Jinja2 has a filter of that name.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

from jinja2.filters import do_title
from markupsafe import Markup, escape

from mailer.mail.template.bounds import Refused
from mailer.mail.template.values import count_parts, kind, number_of, text_of

if TYPE_CHECKING:
    from mailer.mail.template.values import Frame

_LONGEST_NUMBER_CHARS = 400
_NO_DEFAULT: Final = object()
_MOST_DIGITS = 20
_MOST_CHARACTERS = 100
_DIRECTIVE = re.compile(r"%(?:%|[-+ #0]*([0-9]*)(?:\.([0-9]*))?([sdifeEgG]))")
_WIDEST = 200
_FOR_SCRIPTS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})
_UNITS = ("k", "M", "G", "T", "P", "E", "Z", "Y")


def text(frame: Frame, value: Any) -> str:
    """``value`` as it prints. Counts it."""
    made = text_of(value)
    frame.meter.read(len(made))
    return made


def title(frame: Frame, value: Any) -> str:
    whole = text(frame, value)
    frame.meter.step(len(whole))  # every second character may begin a word
    return do_title(whole)


def trim(frame: Frame, value: Any, chars: Any = None) -> str:
    if chars is not None and len(text_of(chars)) > _MOST_CHARACTERS:
        raise Refused(f"trim takes off at most {_MOST_CHARACTERS} characters", "Name fewer")
    return text(frame, value).strip(None if chars is None else text_of(chars))


def replace(frame: Frame, s: Any, old: Any, new: Any, count: Any = None) -> str:
    whole, part, instead = text(frame, s), text_of(old), text_of(new)
    if not frame.autoescape:
        whole, part, instead = str(whole), str(part), str(instead)
    elif isinstance(part, Markup) or (isinstance(instead, Markup) and not isinstance(whole, Markup)):
        whole = escape(whole)
    times = whole.count(part)
    if count is not None and count >= 0:
        times = min(times, count)
    longer = 5 * len(instead) if isinstance(whole, Markup) else len(instead)
    frame.meter.read(times * longer)
    return whole.replace(part, instead, -1 if count is None else count)


def split(frame: Frame, value: Any, sep: Any = None, maxsplit: int = -1) -> list[str]:
    """A list of the parts between ``sep``, or between white space."""
    whole = text(frame, value)
    frame.meter.step(len(whole) // 2)  # every second character may become a part
    return whole.split(None if sep is None else text_of(sep), maxsplit)


def truncate(
    frame: Frame, s: Any, length: int = 255, killwords: Any = False, end: Any = "...", leeway: int | None = None
) -> str:
    whole, ending = text(frame, s), text_of(end)
    if length < len(ending) or (leeway or 0) < 0:
        raise Refused("truncate leaves no room for its ending", "Make the length larger")
    if len(whole) <= length + (5 if leeway is None else leeway):
        return whole
    frame.meter.read(len(ending))
    kept = whole[: length - len(ending)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + ending


def center(frame: Frame, value: Any, width: int = 80) -> str:
    width = max(width, 0)
    frame.meter.read(width)
    return text(frame, value).center(width)


def indent(frame: Frame, s: Any, width: Any = 4, first: Any = False, blank: Any = False) -> str:
    whole = text(frame, s)
    margin = width if isinstance(width, str) else " " * _small(width)
    if isinstance(whole, Markup):
        margin = escape(margin)
    lines = whole.split("\n")
    frame.meter.read((len(lines) + 1) * len(margin) + len(whole))
    return type(whole)("\n").join(
        margin + line if (first if number == 0 else blank or line) else line for number, line in enumerate(lines)
    )


def wordwrap(frame: Frame, s: Any, width: int = 79, break_long_words: Any = True, wrapstring: Any = "\n") -> str:
    """Lines of at most ``width`` characters, broken at spaces. Longer words are cut if ``break_long_words``."""
    whole, between = text(frame, s), text_of(wrapstring)
    if _small(width) < 1:
        raise Refused("a line needs a width", "Give it 1 or more")
    frame.meter.read(4 * len(whole) + (len(whole) // width + len(whole.split())) * len(between))
    made = []
    for paragraph in whole.splitlines():
        line = ""
        for word in paragraph.split():
            pieces = [word]
            if break_long_words and len(word) > width:
                pieces = [word[at : at + width] for at in range(0, len(word), width)]
            for piece in pieces:
                if line and len(line) + 1 + len(piece) > width:
                    made.append(line)
                    line = piece
                else:
                    line = f"{line} {piece}" if line else piece
        made.append(line)
    return between.join(made)


def wordcount(frame: Frame, s: Any) -> int:
    whole = text(frame, s)
    frame.meter.step(len(whole) // 2)  # every second character may begin a word
    return len(re.findall(r"\w+", whole))


def striptags(frame: Frame, value: Any) -> str:
    """The text without tags and comments. Entities become characters. White space becomes one space."""
    whole = text(frame, value)
    frame.meter.step(2 * whole.count("<") + 4 * whole.count("&"))
    kept, at = [], 0
    while (begin := whole.find("<", at)) >= 0:
        comment = whole.startswith("<!--", begin)
        end = whole.find("-->" if comment else ">", begin)
        if end < 0:
            break
        kept.append(str(whole[at:begin]))
        at = end + (3 if comment else 1)
    kept.append(str(whole[at:]))
    return Markup(" ".join("".join(kept).split())).unescape()  # noqa: S704 - the result is plain text


def urlencode(frame: Frame, value: Any) -> str:
    """A text, percent-encoded for the path of a URL. A dict or a list of pairs becomes a query."""
    if not isinstance(value, list | dict):
        frame.meter.read(8 * len(text_of(value)))
        return quote(text_of(value))
    count_parts(value, frame.meter)
    pairs = list(value.items()) if isinstance(value, dict) else value
    if any(isinstance(value, list) and (not isinstance(pair, list) or len(pair) != 2) for pair in pairs):
        raise Refused("a query is made of pairs", "Give urlencode a dict")
    texts = [(text(frame, name), text(frame, each)) for name, each in pairs]
    frame.meter.read(8 * sum(len(name) + len(each) for name, each in texts))
    return "&".join(f"{quote_plus(name)}={quote_plus(each)}" for name, each in texts)


def tojson(frame: Frame, value: Any) -> str:
    """JSON that is safe in a script and in single quotes."""
    count_parts(value, frame.meter)
    if not isinstance(value, str | int | float | list | dict | None):
        raise Refused(f"{kind(value)} is not JSON", "Give it a value of the variables")
    made = json.dumps(value, sort_keys=True, allow_nan=False)
    frame.meter.read(len(made))
    return Markup(made.translate(_FOR_SCRIPTS))  # noqa: S704 - nothing in it ends a text or a script


def format_text(frame: Frame, value: Any, *values: Any) -> str:
    """``'%.2f' | format(price)``: the directives s, d, i, f, e and g, up to the width that a mail may need."""
    pattern = text(frame, value)
    if not _DIRECTIVE.search(pattern) and any(isinstance(one, str) and _DIRECTIVE.search(one) for one in values):
        raise Refused("the format stands after the value", "Write '%.2f' | format(Price | float)")
    found = list(_DIRECTIVE.finditer(pattern))
    if pattern.count("%") != sum(each[0].count("%") for each in found):
        raise Refused("it is not a format", "Use %s %d %.2f, and %% for a percent sign")
    for each in found:
        if any(len(digits or "") > 3 or int(digits or 0) > _WIDEST for digits in each.group(1, 2)):
            raise Refused(f"a width or precision is over {_WIDEST}", "Make it smaller")
    wanted = [each for each in found if each[0] != "%%"]
    if len(wanted) != len(values):
        problem = f"the format takes {len(wanted)} values and is given {len(values)}"
        raise Refused(problem, "Give each %s, %d or %.2f a value")
    frame.meter.read(len(found) * 2 * _WIDEST)
    pairs = zip(wanted, values, strict=True)
    return pattern % tuple(text(frame, one) if each[3] == "s" else number_of(one) for each, one in pairs)


def to_int(_: Frame, value: Any, default: Any = _NO_DEFAULT, base: int = 10) -> Any:
    """A whole number. A number loses its fraction. ``default`` replaces only text that is no number: for "12.50" it
    would lose even more than the fraction.
    """
    if isinstance(value, str):
        if len(value) <= _LONGEST_NUMBER_CHARS:
            try:
                return int(value, base)
            except ValueError:
                pass
        number = _float_of(value)
        if number is None:
            return _otherwise(default, "the text is no number", "int")
        if number.is_integer():
            return int(number)
        raise Refused("int would drop what the text has after the point", "Write | float, or | float | int to drop it")
    try:
        return number_of(int(number_of(value)))
    except Refused as error:
        return _otherwise(default, error.problem, "int")


def to_float(_: Frame, value: Any, default: Any = _NO_DEFAULT) -> Any:
    problem = "the text is no number"
    try:
        made = _float_of(value) if isinstance(value, str) else float(number_of(value))
    except OverflowError:
        made, problem = None, "it is not a number of usual size"
    except Refused as error:
        made, problem = None, error.problem
    return _otherwise(default, problem, "float") if made is None else made


def _float_of(value: str) -> float | None:
    """The number in a text, if there is one."""
    if len(value) > _LONGEST_NUMBER_CHARS:
        return None
    try:
        made = float(value)
    except ValueError:
        return None
    return made if math.isfinite(made) else None


def _otherwise(default: Any, problem: str, name: str) -> Any:
    """The ``default`` for a value that cannot be parsed. Raises Refused without a default: a 0 in its place would be
    wrong.
    """
    if default is not _NO_DEFAULT:
        return default
    remedy = f"Give it as 12.50, without a comma or a sign of currency, or write | {name}(0) to take 0 where it is none"
    raise Refused(problem, remedy)


def rounded(_: Frame, value: Any, precision: int = 0, method: str = "common") -> Any:
    number = number_of(value)
    if abs(precision) > _MOST_DIGITS or method not in ("common", "ceil", "floor"):
        raise Refused("round takes up to 20 digits, and common, ceil or floor", "Write {{ price | round(2) }}")
    if method == "common":
        return number_of(round(number, precision))
    shift = 10**precision
    return number_of((math.ceil if method == "ceil" else math.floor)(number * shift) / shift)


def filesizeformat(_: Frame, value: Any, binary: Any = False) -> str:
    size, base = float(number_of(value)), 1024 if binary else 1000
    if size == 1:
        return "1 Byte"
    if size < base:
        return f"{int(size)} Bytes"
    power = 1
    while size >= base ** (power + 1) and power < len(_UNITS):
        power += 1
    unit = _UNITS[power - 1]
    return f"{size / base**power:.1f} {f'{unit.upper()}iB' if binary else f'{unit}B'}"


def _small(width: Any) -> int:
    if isinstance(width, int) and 0 <= width <= _WIDEST:
        return width
    raise Refused(f"a width is no number up to {_WIDEST}", "Make it smaller")
