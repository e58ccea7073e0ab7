"""The binary order-entry protocol: fixed layouts over TCP, its door, and clients. See docs/binary.md."""
