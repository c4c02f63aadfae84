"""What two servers may differ in, taken out of their answers: identities, times, versions, addresses."""

import re
from collections.abc import Callable, Mapping
from typing import Any

UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
# Names that controllers make: a template's hash, then perhaps five random letters.
HASH = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}(?=$|[-\" ])")
ADDRESS = re.compile(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")
RECORD = re.compile(r"(?<=in record \()\d+|(?<=too old resource version: )\d+ \(\d+")
RANDOM = re.compile(r"(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}(?=$|[\" ])")
BY_KEY: Mapping[str, str] = {
    "resourceVersion": "<version>",
    "continue": "<token>",
    "nodeName": "<node>",
    "nodePort": "<port>",
    "containerID": "<container>",
    "imageID": "<image>",
    "pod-template-hash": "<hash>",
    "controller-revision-hash": "<hash>",
}
"""Fields whose values are each server's own; an empty one stays empty."""

DROPPED = frozenset({"managedFields"})


def plain(value: Any, namespace: str) -> Any:
    """Take what is a server's own out of an answer."""
    return _plain(value, lambda text: _text(text, namespace))


def _plain(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key not in DROPPED}
        return {text(key): BY_KEY[key] if key in BY_KEY and each else _plain(each, text) for key, each in kept.items()}
    if isinstance(value, list):
        items = [_plain(each, text) for each in value]
        # conditions come in the order in which they last changed
        by_type = all(isinstance(each, dict) and "lastTransitionTime" in each for each in items)
        return sorted(items, key=lambda each: each["type"]) if by_type else items
    return text(value) if isinstance(value, str) else value


def _text(text: str, namespace: str) -> str:
    text = text.replace(namespace, "<namespace>")
    text = ADDRESS.sub("<ip>", TIME.sub("<time>", UID.sub("<uid>", text)))
    text = RECORD.sub("<version>", text)
    return RANDOM.sub("<random>", HASH.sub("-<hash>", text))
