"""Unmodified clients of Amazon SES, each behind the few calls that the tour makes."""
