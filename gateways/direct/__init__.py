"""Client orders from the socket into the shard's ring and the log's events out to venue and client, compiled.

    orders_in (35=D -> command) - reports_in (35=8 -> command) - orders_out (event -> 35=D)
    reports_out (event -> 35=8) - loop (one round over all lines) - desk (the slow side: Python's turn)

It is `gateways/fix_door.py` and `fix/order_router.py` once more, for the few messages that nearly all messages are;
those two stay the reference, take whatever is rare, and a test holds both ways to the same bytes and the same log. The
commands go through the door's own ring and the shard's own `serve_lanes`: nothing of the decision is here.
"""
