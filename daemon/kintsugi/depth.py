"""Measures how deep JSON is nested before it is parsed: parsers recurse, this module does not."""

DEEPEST = 32
"""Levels that are let through. A webhook of Alertmanager has 4."""

DEEPEST_ANSWER = 64
"""Levels of an answer. A Kubernetes object has 20 at most, and reading a result back recurses once more a level."""

_SMALL = 16 * 1024
"""Bytes up to which counting the opening brackets is cheaper than finding their places."""

_BRACES = bytes.maketrans(b"[]", b"{}")
_OTHERS = bytes(set(range(256)) - set(b'{}[]"'))


def is_too_deep(text: bytes, deepest: int = DEEPEST) -> bool:
    """
    Return whether JSON is nested deeper than `deepest` levels or its brackets do not match.

    Exact for valid JSON, and made of a few passes at the speed of C, which together cost less than the parse. Of text
    that is no JSON it may say either; that is refused by the parser.
    """
    if len(text) <= _SMALL and text.count(b"{") + text.count(b"[") <= deepest:
        return False
    # Without its pairs a run of backslashes leaves one before a quote exactly where that quote does not end the string.
    unescaped = text.replace(rb"\\", b"").replace(rb"\"", b"")
    # Taking out pairs of neighbouring quotes keeps the parity of those before each bracket, hence who is in a string.
    marks = unescaped.translate(_BRACES, _OTHERS).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(deepest):
        if not brackets:
            return False
        # One pass takes exactly the innermost level: what it leaves behind only meets in the next.
        brackets = brackets.replace(b"{}", b"")
    return bool(brackets)
