"""What a desk knows: units, records, order states, positions, risk checks. Pure; numpy and numba only."""
