"""``make bench``: every benchmark, as JSON lines; ratios come from one run."""

import subprocess
import sys

for module in ("landing", "layouts", "memory", "queue", "solvers", "nightly"):
    # A process each, so that no benchmark inherits another's memory or threads.
    subprocess.run([sys.executable, "-m", f"tests.bench.{module}"], check=True)
