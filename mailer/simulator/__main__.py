"""``python -m mailer.simulator``."""

from __future__ import annotations

from mailer.simulator import flags
from mailer.simulator.server import run


def main(arguments: list[str] | None = None, prog: str = "python -m mailer.simulator") -> None:
    parser = flags.parser(prog)
    options = flags.options(arguments, parser)
    problem: BaseException | None = None
    try:
        run(options)
    except* OSError as group:
        problem = group.exceptions[0]
    if problem is not None:
        parser.error(f"it cannot listen or read its files: {problem}")


if __name__ == "__main__":
    main()
