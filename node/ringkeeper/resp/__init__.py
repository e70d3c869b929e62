"""Bytes to values and back: RESP2 and RESP3, without I/O.

- `values` names what a command may answer and what may go wrong;
- `reader` cuts a stream of bytes into commands (a server's side) or replies (a client's side);
- `writer` renders one value as RESP2 or RESP3.
"""
