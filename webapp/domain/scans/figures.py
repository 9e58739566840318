"""Figures in words, for paper and for captions: written as the result's page writes them (`templates/macros`)."""


def percent(value: float) -> str:
    """What is there is never said to be 0."""
    return "< 0.01 %" if 0 < value < 0.005 else f"{value:.2f} %"


def volume(mm3: float) -> str:
    return f"{mm3:.1f} mm\u00b3" if mm3 < 100 else f"{mm3 / 1000:.2f} mL"
