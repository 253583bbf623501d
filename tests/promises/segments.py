"""The log's files as `docs/format.md` describes them, read without the broker's code."""

from __future__ import annotations

import pathlib
import struct
from typing import NamedTuple

BLOCK_BYTES = 4096
HEADER_BYTES = 64
MAGIC = b"VFRM"


class Frame(NamedTuple):
    """Where a frame stands in its segment, and how long it is without its padding."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """Where the next one starts."""
        return self.offset + -(-self.length // BLOCK_BYTES) * BLOCK_BYTES


def last_segment(data_dir: pathlib.Path) -> pathlib.Path:
    return max((data_dir / "log").glob("*.seg"))


def frames(segment: bytes) -> list[Frame]:
    """The frames of a segment, one after the other from its second block."""
    found, offset = [], BLOCK_BYTES
    while segment[offset : offset + 4] == MAGIC:
        (records_bytes,) = struct.unpack_from("<I", segment, offset + 44)
        found.append(Frame(offset, HEADER_BYTES + records_bytes))
        offset = found[-1].end
    return found
