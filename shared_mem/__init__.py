"""Memory that processes share: atomics, rings, bells, the log. Knows nothing of trading. See README.md."""
