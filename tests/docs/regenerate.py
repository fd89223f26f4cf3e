"""Writes the README's tables anew: `python -m tests.docs.regenerate`."""

from tests.docs.tables import README, rewritten


def main() -> None:
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
