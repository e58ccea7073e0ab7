"""FIX: the codec, the session, its durable store, both ends over TCP and TLS, venues as data, and the way between
the log and a venue.

From the inside out, each standing on the one before: codec (bytes and fields) - session (the protocol, no
I/O) - store (what outlives the process) - durable (the three of them with an application) - connection,
acceptor, initiator (TCP, TLS). Beside them, pure: dictionary and validation (what a message may be), schedule
(when), throttle (how fast), profiles and auth (what a venue asks for); venue puts them together. On top:
order_router (the application of the venue's session), simulator (a venue), echo (for acceptance scripts).
"""
