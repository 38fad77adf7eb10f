"""``python -m segwidget.cli``."""

from segwidget.cli import main

main()
