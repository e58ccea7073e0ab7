"""Seeds that found something, and what it was. Each is told again in `make test`.

A seed is the same story as long as the simulation takes the same steps; where it changes, the fault has a test of its
own in the room where it was mended, which is named here.
"""

from __future__ import annotations

from typing import Final

FOUND: Final[dict[int, str]] = {
    5: "the log's number was empty after a power cut: its file had a name before it was synced (test_disk.py)",
    34: "a replace that crossed the question after a restart was not taken when accepted (actors/test_status.py)",
    37: "the session's store had a hole after a failed sync, a restart and a power cut (test_disk.py)",
    103: "a second power cut in a row gave out the same order ids again (shared_mem/test_log_recovery.py)",
}
