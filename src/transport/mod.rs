//! Moves bytes: runtime, listeners, sockets, buffers. Knows no protocol.
