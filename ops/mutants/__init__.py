"""Small edits that break a promise of the product, and the tests that must notice each."""
