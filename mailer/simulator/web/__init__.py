"""The simulator's page: one HTML, one style sheet and a few scripts, as they are. No build, no outside host."""
