"""The command `nsd-imagery`: parses, calls, prints.

All work is done elsewhere, and imported only when it is asked for.
"""

from nsd_imagery.cli.app import cli, main

__all__ = ["cli", "main"]
