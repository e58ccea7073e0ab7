"""FIX 4.4: the codec, the session, its durable store, both ends over TCP, and the way between the log and a
venue.

From the inside out, each standing on the one before: codec (bytes and fields) - session (the protocol, no
I/O) - store (what outlives the process) - durable (the three of them with an application) - connection,
acceptor, initiator (TCP). On top: order_router (the application of the venue's session), simulator (a venue).
"""
