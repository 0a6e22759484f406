"""`python -m course`, which ./course becomes once everything is set up."""

import sys

from .cli import run

sys.exit(run())
