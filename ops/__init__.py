"""What is run around the product: benchmarks and the like. Not shipped in the wheel."""
