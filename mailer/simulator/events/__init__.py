"""SES's events about a message after its acceptance, and the ways of delivering them."""
