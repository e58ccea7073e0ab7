"""People and programs in: order entry over REST and FIX, live streams, identity, the page."""
