"""Programs that do only what physics asks, to stand beside our figures. The C ones are compiled on the spot."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path


def compiled(name: str) -> Path | None:
    """The C program `name`.c, built with -O3; None where there is no C compiler (the row then has no limit)."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    target = Path(tempfile.mkdtemp(prefix="tradewind-limit-")) / name
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-O3", "-march=native", "-o", target, source], check=True)
    return target
