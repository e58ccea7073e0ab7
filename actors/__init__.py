"""Who owns what: accounts and instruments as rows of tables, the shard that runs them, and how they come back.

An actor here is the one owner of one account's or one instrument's state: a row, its behaviours
(`account.py`, `instrument.py`, `new_order.py`, `cancel.py`, `report.py`) and its mailbox (the shard's rings). It
costs bytes, not a thread. Read `tables.py` (the state), `apply.py` (the one way it changes), `shard.py` (the loop).
"""
