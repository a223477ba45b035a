"""Everything that the docs take from the code and from the figures, and the hooks of the site."""
