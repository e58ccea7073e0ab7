"""Settings of this room's property tests: no test asserts a time, so no example has a deadline."""

from hypothesis import settings

settings.register_profile("tradewind", deadline=None)
settings.load_profile("tradewind")
