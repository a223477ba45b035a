"""The demo: all parts on this host for half a minute, with an account that enforces its limits."""
