"""``python -m mailer.cli``: the ``mailer`` command, for those who know the interpreter and not the path."""

from mailer.cli.main import main

if __name__ == "__main__":
    main()
