"""`make torture`: every promise of the product, what shows it, and whether it holds."""
