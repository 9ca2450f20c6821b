"""``python -m trademl.cli``."""

from trademl.cli import main

main()
