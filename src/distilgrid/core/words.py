"""Words of messages and tables alike."""


def plural(number: int, noun: str) -> str:
    """A counted noun."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
