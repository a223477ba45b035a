"""The simulator's page: one HTML file, one style sheet and a few scripts, served as is. No build, no other host."""
