"""The memory that a node shares with its lease process: which word holds what, and which of the two writes it.

Words are signed, of 8 bytes, little-endian, at multiples of 8: the processor writes each of them whole. So neither
side ever waits for the other, and one that is stopped in the middle of anything holds up nobody. This module imports
nothing: the lease process is to stay small.
"""

WORDS = 64
SIZE = WORDS * 8
"""Bytes."""

# Written by the lease process.
DEADLINE = 0
"""Until when this start of the node may serve in `LEASE_TERM`: nanoseconds of CLOCK_BOOTTIME."""
LEASE_TERM = 1
PROMISED_TERM = 2
"""The highest term that this voter has promised, or may have: in older ones it acknowledges nothing."""
BEAT = 3
"""When the lease process went round last, by CLOCK_MONOTONIC: it may hang as well."""
EPOCH = 4
"""Of the topology by whose rules it counts."""
OPERATOR_NUMBER = 5
"""The highest leader number of an operator heard of."""
OPERATOR_HEARD = 6
"""When its last word came, by CLOCK_MONOTONIC; 0 never."""
GRANTS = 7
"""Grants counted."""
SENT = 8
RECEIVED = 9
"""Datagrams."""
FORGED = 10
"""Datagrams dropped: made without the token."""
MALFORMED = 11
"""Datagrams dropped: with the token, but no message."""
UNSENT = 12
"""Datagrams that the system did not take."""
KEEPING_FAILED = 13
"""Promises that could not be kept on the disk, and so were not given."""

# Written by the node.
PROGRESS = 32
"""When the command loop went on last, by CLOCK_MONOTONIC."""
POSITION_CHANGES = 33
"""Odd while the two behind it are being written."""
STREAM_TERM = 34
"""Of the last replication stream applied."""
OFFSET = 35
CANDIDATE = 36
"""1 if this replica's data is whole."""
RELEASED_TERM = 37
"""The term in which this master serves no more, for good; 0 none."""
LEAVING = 38
"""1 if this node was told to end."""
