"""One module per figure. Each has ``run(bench) -> Figure``."""
