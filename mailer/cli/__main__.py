"""``python -m mailer.cli``: the ``mailer`` command, for callers that know the interpreter but not the path."""

from mailer.cli.main import main

if __name__ == "__main__":
    main()
