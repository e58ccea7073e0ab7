"""FIX tag=value, compiled: frames, tokens, typed values, repeating groups and templates over raw memory.

    frame (where a message ends) - tokens (its fields) - values (numbers, times) - groups (entries)
    template (encode)

Always holds: nothing here allocates, and nothing reads or writes outside the range that it was given; compiled
code does not check an index, so each function says why its own are inside. The plain Python of `fix/codec.py`
is the reference: tests hold both to the same answers.
"""
