"""A desk, its venue and their machines in one process, turned step by step by a seed: `make simulate SEEDS=1000`.

The shard, its log, recovery, snapshots, the router, the FIX sessions and their stores, and the exchange are the real
ones. Simulated are what they stand on: the clock (world), the disk (disk, seams), the network (wire), processes and
machines that die (hosts, machine), clients (clients) and the two followers' servers (followers). An auditor, which
knows none of the code below it, holds what happened against what was promised (auditor).

It is a room of tests, not of the desk: nothing that runs in production imports it, and nothing in it is shipped.

Always holds: one thread; every choice comes from one `random.Random(seed)`, so a seed is a story that can be told
again. docs/simulation.md
"""
