"""Redis's file formats: values and RDB files (pure, from bytes to values and back), and the files themselves."""
