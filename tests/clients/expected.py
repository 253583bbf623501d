"""What the clients send and expect back: one place, so that every client is asked for the same."""

from __future__ import annotations

import datetime
import decimal

COUNT = 1000

# Above frame-max (128 KiB) by far, so that it takes many body frames; and above the 1 MiB that stay inline.
LARGE_AMQP = bytes(range(256)) * (4 * 1024 * 4)

# Exactly the limit of SQS, attributes included (there are none).
LARGE_SQS = "x" * 1_048_576

WHEN = datetime.datetime(2024, 2, 29, 12, 30, 15, tzinfo=datetime.timezone.utc)

# Every header type that a Python client has a value for. Which field-table tag a client picks for an
# integer is its own choice: the broker must hand the tag back as it came.
HEADERS = {
    "boolean": True,
    "tiny": -7,
    "short": -30_000,
    "int": -2_000_000_000,
    "long": 9_007_199_254_740_993,
    "double": 0.625,  # exact in 32 bits too: pamqp writes a float as one
    "decimal": decimal.Decimal("3.14159"),
    "text": "grüße, 世界",
    "empty": "",
    "bytes": b"\x00\xff\xfe",
    "timestamp": WHEN,
    "nothing": None,
    "list": [1, "two", False, [3, None]],
    "table": {"inner": {"deep": "value"}, "n": 1},
}

MISSING_QUEUE = "NOT_FOUND - no queue '{queue}' in vhost '/'"

INEQUIVALENT_DURABLE = (
    "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{queue}' in vhost '/':"
    " received 'false' but current is 'true'"
)
