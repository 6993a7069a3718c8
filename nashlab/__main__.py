"""``python -m nashlab`` is ``nashlab``."""

from nashlab.start import begin


def program() -> None:
    """Entry point of ``nashlab``."""
    begin("nashlab.cli")


if __name__ == "__main__":
    program()
