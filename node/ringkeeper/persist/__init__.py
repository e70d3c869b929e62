"""Redis's serialisation of values (RDB): pure, from bytes to values and back."""
