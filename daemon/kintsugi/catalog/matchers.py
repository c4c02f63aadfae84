"""Alertmanager's matcher language, as in `amtool` and in Alertmanager's routes; and regular expressions that end in time."""

import re

from kintsugi.model.documents import LabelMatcher, MatchOperator

MOST_LENGTH = 1000

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_MATCHER = re.compile(
    rf"\s*\{{?\s*(?P<label>[A-Za-z_][A-Za-z0-9_]*|{_QUOTED})\s*(?P<operator>=~|!~|!=|=)\s*"
    rf"(?P<value>{_QUOTED}|(?:[^\s\"{{}},=~][^\s\"{{}},]*)?)\s*\}}?\s*"
)
_ESCAPE = re.compile(r'\\(["\\n])')
_REPEAT_IN_REPEAT = re.compile(r"\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)(?:[*+]|\{\d+,)")


def parse_matcher(text: str) -> LabelMatcher:
    """Read one matcher: `label=value`, `label!=value`, `label=~"regex"`, `label!~"regex"`. Raises ValueError."""
    if not (found := _MATCHER.fullmatch(text)):
        raise ValueError(
            f'{text!r} is not a matcher: write LABEL=VALUE, LABEL!=VALUE, LABEL=~"REGEX" or LABEL!~"REGEX"'
        )
    operator = MatchOperator(found["operator"])
    value = _unquoted(found["value"])
    if operator in (MatchOperator.MATCH, MatchOperator.NOT_MATCH):
        check_regex(value)
    return LabelMatcher(label=_unquoted(found["label"]), operator=operator, value=value)


def takes_everything(matcher: LabelMatcher) -> bool:
    """Tell whether an alert without the label matches: rules of such matchers alone would match every alert."""
    match matcher.operator:
        case MatchOperator.EQUAL:
            return matcher.value == ""
        case MatchOperator.NOT_EQUAL:
            return matcher.value != ""
        case MatchOperator.MATCH:
            return re.fullmatch(matcher.value, "") is not None
        case MatchOperator.NOT_MATCH:
            return re.fullmatch(matcher.value, "") is None


def check_regex(pattern: str) -> None:
    """
    Refuse a regular expression that is wrong, or that may need more time than there is (E27).

    A repetition inside a repetition, as in `(a+)+`, is what takes exponential time. Raises ValueError.
    """
    if len(pattern) > MOST_LENGTH:
        raise ValueError(f"the regular expression has {len(pattern)} characters, more than {MOST_LENGTH}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    if found := _REPEAT_IN_REPEAT.search(pattern):
        raise ValueError(
            f"{found.group()!r} repeats what repeats already, which may take forever: write it without the outer one"
        )


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text[1:-1])
