"""`python -m nsd_imagery`, the same as the command `nsd-imagery`."""

from nsd_imagery.cli import main

if __name__ == "__main__":
    main()
