"""The values that are more than a string: structures with a `check()`, the complexity of each method stated."""
