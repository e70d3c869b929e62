"""Slots, ring, topology and the rules of membership: pure, no clock, no socket."""
