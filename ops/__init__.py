"""Programs around the product: benchmarks, soaks, checks. The wheel does not ship them."""
