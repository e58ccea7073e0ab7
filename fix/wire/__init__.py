"""FIX tag=value, compiled: frames, tokens, checked values, repeating groups and templates over raw memory.

    frame (where a message ends) - tokens (its fields) - checks (are they right; reads their values)
    values (one number, time, character) - groups (the entries of one) - template (encode)

Always holds: nothing here allocates, and nothing reads or writes outside the range that it was given; compiled
code does not check an index, so each function says why its own are inside. The plain Python of `fix/codec.py`
is the reference: tests hold both to the same answers.
"""
