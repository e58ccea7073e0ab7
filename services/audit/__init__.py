"""The audit: the log held against what was made of it, in Postgres and in JetStream.

Always holds: nothing here is shared with who projects or publishes (services/projection.py, translate.py, …): what an
event means is said here a second time, from the records' own definition (core/records.py, docs/events.md), so that a
mistake there is a difference here. It reads only, in bounded memory, and names what it finds.
"""
