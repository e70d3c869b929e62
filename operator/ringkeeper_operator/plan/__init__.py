"""Pure planners, one concern each: given the spec and what is observed, the next action or None."""
