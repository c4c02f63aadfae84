"""Decides what a pause concerns. Pure."""

from kintsugi.model.records import Pause, PauseScope


def covers(pause: Pause, *, namespace: str, rule: str, service: str) -> bool:
    """Return whether a pause concerns this namespace, rule or service."""
    match pause.scope:
        case PauseScope.GLOBAL:
            return True
        case PauseScope.NAMESPACE:
            return pause.name == namespace
        case PauseScope.RULE:
            return pause.name == rule
        case PauseScope.SERVICE:
            return pause.name == service
