"""The examples of shared_mem/README.md, taken out of it and run as two processes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "shared_mem" / "README.md"


def examples(run_dir: Path) -> list[str]:
    found = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    return [code.replace("/dev/shm/example", str(run_dir)) for code in found]


def test_the_first_two_examples_are_a_consumer_and_a_producer_of_fifteen_lines(run_dir: Path) -> None:
    consumer, producer = examples(run_dir)[:2]
    assert len(consumer.strip().splitlines()) <= 15
    assert len(producer.strip().splitlines()) <= 15
    taking = subprocess.Popen([sys.executable, "-c", consumer], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert taking.stdout is not None
        while not (run_dir / "ring").exists():
            assert taking.poll() is None
        subprocess.run([sys.executable, "-c", producer], check=True, cwd=ROOT)
        assert [taking.stdout.readline().strip() for _ in range(3)] == ["message 0", "message 1", "message 2"]
    finally:
        taking.kill()
        taking.wait()


def test_the_other_examples_run_as_they_stand(run_dir: Path) -> None:
    for code in examples(run_dir)[2:]:
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
