"""Venues as data: one TOML file each, what a venue's rules of engagement say and nothing that is ours.

Names end in "-like": they follow what the venue publishes, and a certification with the venue decides.
"""
