"""The figures: what the product costs and how exactly it keeps the rate, each against something run beside it."""
