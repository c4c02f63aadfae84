"""The canary: an alert that is sent to check that alerts are accepted and evaluated; no rule is asked about it."""

from collections.abc import Mapping

CANARY = "KintsugiCanary"
"""The name of the alert; no alert of this name starts anything, from any sender."""


def is_canary(labels: Mapping[str, str]) -> bool:
    """Return whether these are the labels of a canary."""
    return labels.get("alertname") == CANARY
