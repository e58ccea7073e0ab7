"""What follows the log: the publisher to NATS, and behind NATS the portfolio and the notifications.

Always holds in this room: nothing here is on an order's way, so anything here may be late, die or start
again. The log is the truth, NATS a feed derived from it, Postgres and the mails derived from that; each
follower keeps a cursor with its effect, and what it has done already it does not do again.
"""
