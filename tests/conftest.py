"""What holds for all tests."""

from hypothesis import settings

# How long an example takes hangs on what else the machine does: no test is judged by it.
settings.register_profile("trademl", deadline=None)
settings.load_profile("trademl")
