"""The command `nsd-imagery`: parses, calls, prints.

All work is done elsewhere, and imported only when it is asked for.
"""


def main() -> None:
    """Run the command; see `app.main`."""
    # Worker processes import this package, and not what parses and prints.
    from nsd_imagery.cli.app import main as run

    run()
