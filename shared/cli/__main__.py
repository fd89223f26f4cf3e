"""`python -m shared.cli` is `plumb`."""

from shared.cli.app import main

if __name__ == "__main__":
    main()
