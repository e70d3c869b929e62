"""Observe and apply: the only I/O of the operator. `loop` drives either runtime through `base.Runtime`."""
