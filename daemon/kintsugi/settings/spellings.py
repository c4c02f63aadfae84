"""The spellings of settings: camelCase in the file, as in Kubernetes, SNAKE_CASE in variables."""

import re

PREFIX = "KINTSUGI_"


def camel(name: str) -> str:
    """Write a name in camelCase; one that is so already stays."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def snake(name: str) -> str:
    """Write a name in snake_case; one that is so already stays."""
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)
