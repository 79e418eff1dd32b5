"""Fresh servers for the demo and the tests: ``python -m rig --help``."""

import sys

from rig.command_line import main

sys.exit(main())
