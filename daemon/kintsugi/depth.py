"""How deep JSON is nested, told before any parser sees it: a parser recurses, and this does not."""

import re

DEEPEST = 32
"""Levels that are let through. A webhook of Alertmanager has 4."""

DEEPEST_ANSWER = 64
"""Levels of an answer. A Kubernetes object has 20 at most, and whoever reads a result back recurses once more a level."""

_SMALL = 16 * 1024
"""Bytes up to which counting the opening brackets is cheaper than looking where they stand."""

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_BRACES = bytes.maketrans(b"[]", b"{}")
_OTHERS = bytes(set(range(256)) - set(b'{}[]"'))


def is_too_deep(text: bytes, deepest: int = DEEPEST) -> bool:
    """
    Tell whether JSON is nested deeper than `deepest` levels or its brackets do not match.

    Exact for valid JSON, and made of a few passes at the speed of C, which together cost less than the parse. Of text
    that is no JSON it may say either; that is refused by the parser.
    """
    if len(text) <= _SMALL and text.count(b"{") + text.count(b"[") <= deepest:
        return False
    # Taking out pairs of neighbouring quotes keeps the parity of those before each bracket, hence who is in a string.
    marks = _ESCAPE.sub(b"", text).translate(_BRACES, _OTHERS).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(deepest):
        if not brackets:
            return False
        # One pass takes exactly the innermost level: what it leaves behind only meets in the next.
        brackets = brackets.replace(b"{}", b"")
    return bool(brackets)
