"""What holds for all tests."""

import os

from hypothesis import settings

# How long an example takes hangs on what else the machine does: no test is judged by it.
settings.register_profile("trademl", deadline=None)
settings.load_profile("trademl")

# Workers and the builds that they start share the machine; and dbt parses the project once for all
# of them, which it would do anew for another memory limit.
os.environ |= {"TRADEML_MEMORY_LIMIT": "2GB", "OPENBLAS_NUM_THREADS": "1"}
