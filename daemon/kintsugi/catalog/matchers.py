"""Alertmanager's matcher language, as in `amtool` and in Alertmanager's routes."""

import re

from kintsugi.model.rules import LabelMatcher, MatchOperator
from kintsugi.regex import compiled

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_MATCHER = re.compile(
    rf"\s*\{{?\s*(?P<label>[A-Za-z_][A-Za-z0-9_]*|{_QUOTED})\s*(?P<operator>=~|!~|!=|=)\s*"
    rf"(?P<value>{_QUOTED}|(?:[^\s\"{{}},=~][^\s\"{{}},]*)?)\s*\}}?\s*"
)
_ESCAPE = re.compile(r'\\(["\\n])')


def parse_matcher(text: str) -> LabelMatcher:
    """Read one matcher: `label=value`, `label!=value`, `label=~"regex"`, `label!~"regex"`. Raises ValueError."""
    if not (found := _MATCHER.fullmatch(text)):
        raise ValueError(
            f'{text!r} is not a matcher: write LABEL=VALUE, LABEL!=VALUE, LABEL=~"REGEX" or LABEL!~"REGEX"'
        )
    operator = MatchOperator(found["operator"])
    value = _unquoted(found["value"])
    if operator in (MatchOperator.MATCH, MatchOperator.NOT_MATCH):
        compiled(value)
    return LabelMatcher(label=_unquoted(found["label"]), operator=operator, value=value)


def takes_everything(matcher: LabelMatcher) -> bool:
    """Return whether an alert without the label matches: rules of such matchers alone would match every alert."""
    match matcher.operator:
        case MatchOperator.EQUAL:
            return matcher.value == ""
        case MatchOperator.NOT_EQUAL:
            return matcher.value != ""
        case MatchOperator.MATCH:
            return compiled(matcher.value).matches("")
        case MatchOperator.NOT_MATCH:
            return not compiled(matcher.value).matches("")


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text[1:-1])
