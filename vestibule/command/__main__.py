"""``python -m vestibule.command``: what people ask for."""

from __future__ import annotations

import sys

from vestibule.command.command_line import main

if __name__ == "__main__":
    sys.exit(main())
