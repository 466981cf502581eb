"""Write probabilities for people: one rule for all formats. Coded numbers keep four decimals."""

from __future__ import annotations


def probability_text(probability: float) -> str:
    """Return a probability or a confidence with two decimals: "0.31", "< 0.01" and "> 0.99".

    "0.00" and "1.00" would claim a certainty that no model has.
    """
    if probability < 0.01:
        return "< 0.01"
    return "> 0.99" if probability > 0.99 else f"{probability:.2f}"


def threshold_text(threshold: float) -> str:
    """Return a threshold with two decimals, below 0.1 with three, because thresholds of rare findings are small."""
    return f"{threshold:.{2 if round(threshold, 3) >= 0.1 else 3}f}"
