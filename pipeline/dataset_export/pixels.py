"""Coordinates of the dataset, in thousandths of a pixel, as text and numbers that are read as exactly the same."""


def px(thousandths: int) -> float:
    """Its shortest decimal form, as JSON writes it, has at most three places."""
    return thousandths / 1000


def px_text(thousandths: int) -> str:
    """`12`, `12.5`, `12.345`"""
    whole, rest = divmod(thousandths, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)
