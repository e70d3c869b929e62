"""The replication protocol, both sides, as rules and data: no clock, no socket, no file."""
