"""The keyspace: the only door to data."""
