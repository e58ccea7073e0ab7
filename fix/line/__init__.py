"""An established FIX session as a row that compiled code works on: the everyday of a session, without the interpreter.

    row (what a session is, once both Logons are through) - take (bytes in, one message at a time)
    crc32, keep (the store's append) - give (messages out) - alive (heartbeats) - handover (Python gives the row and
    takes it back)

Compiled code takes what is in sequence and has the form that all but a few messages have. Anything else stays unread
in the row's buffer and the row goes to `fix/session.py`, which is the whole protocol and the reference: the same bytes
in give the same bytes out, whoever owns the row, and a test holds both to it.

Always holds: one owner at a time, by the row's word OWNER. Nothing here allocates or waits; every buffer is bounded,
and a full one hands the row over.
"""
