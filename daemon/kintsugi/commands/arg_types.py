"""
The types of a command's arguments: names, numbers, durations, URLs.

A `ArgType` says how text becomes a value, and how a value from a `${…}` hole becomes text: always as data, never as
syntax. A value that is not allowed at its place is refused: at load where its type is wrong, else when it is filled in.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv6Address
from typing import Literal
from urllib.parse import quote, urlsplit

from kintsugi.commands.sql import plain_statement
from kintsugi.durations import parse_duration
from kintsugi.expressions import format_value
from kubeobjects.selectors import FieldSelector, Selector

Shape = Literal["name", "integer", "duration", "seconds", "url", "text"]
"""The type of result that an expression needs to fill a place alone; `name` takes objects too."""

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_TYPED = re.compile(r"[a-z][a-z0-9.]{0,100}/[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_REFERENCE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9.,/]{0,400}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9_](?:[-A-Za-z0-9_.]{0,252}[A-Za-z0-9_.])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_HEADER = re.compile(r"([-!#$%&'*+.^_`|~0-9A-Za-z]+):[ \t]*(.*)")
_CONDITION = re.compile(r"delete|create|condition=[A-Za-z][A-Za-z0-9.-]*(=[A-Za-z0-9]+)?|jsonpath=\{[^}]+\}(=.*)?")
_SORT = re.compile(r"\{?\.?[A-Za-z][A-Za-z0-9_.\[\]\\/-]*\}?")
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_FORMAT = re.compile(
    r"wide|json|yaml|kyaml|name|(?:jsonpath|jsonpath-as-json|go-template|template|custom-columns)(?:=.+)?", re.DOTALL
)
"""The formats of `kubectl get -o` that read no file (kubernetes.io, *kubectl reference*, Output options)."""

_PRINTABLE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def _put_text(before: str, value: object) -> str:
    text = format_value(value)
    if not _PRINTABLE.fullmatch(text):
        raise ValueError(f"{text!r} contains a line break or another control character")
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class ArgType:
    """One kind of place. `convert` raises ValueError; `put(before, value)` gives the text of a value after literal text."""

    word: str
    shape: Shape = "text"
    convert: Callable[[str], object]
    sample: object
    put: Callable[[str, object], str] = _put_text


def _put_reference(before: str, value: object) -> str:
    """A value alone is an object, or TYPE/NAME; never a type, which would mean all of its kind."""
    return _put_bare(before, value) if before or isinstance(value, Mapping) else _put_typed(before, value)


def _put_bare(before: str, value: object) -> str:
    alone = not before and isinstance(value, str) and "/" in value
    return _put_typed(before, value) if alone else _put_name(before, value)


def _plain(pattern: re.Pattern[str], hint: str) -> Callable[[str, object], str]:
    """Make a `put` that only takes text of one pattern."""

    def put(before: str, value: object) -> str:
        text = format_value(value)
        if not text or not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not {hint}")
        return text

    return put


def matching(pattern: str | re.Pattern[str], hint: str) -> Callable[[str], str]:
    """Make a `convert` that only takes text of one pattern."""

    form = re.compile(pattern)

    def convert(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f"{text!r} is not {hint}")
        return text

    return convert


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,9}", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _natural(text: str) -> int:
    if (number := _integer(text)) < 0:
        raise ValueError(f"{text} is less than 0")
    return number


def _port(text: str) -> int:
    if not 1 <= (port := _integer(text)) <= 65535:
        raise ValueError(f"{text} is not a port: 1 to 65535")
    return port


def _seconds(text: str) -> timedelta:
    if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text) and float(text) > 0:
        return timedelta(seconds=float(text))
    raise ValueError(f"{text!r} is not a number of seconds above 0")


def _put_seconds(before: str, value: object) -> str:
    return format_value(value.total_seconds() if isinstance(value, timedelta) else value)


def _readable(parse: Callable[[str], object]) -> Callable[[str], str]:
    """Make a `convert` that takes all text that can be parsed, as it is."""

    def convert(text: str) -> str:
        parse(text)
        return text

    return convert


def _put_selector(before: str, value: object) -> str:
    """Inside a selector a value is a label's value and no more; alone it may be a whole selector, which is parsed."""
    return _put_label_value(before, value) if before else format_value(value)


def _url(text: str) -> str:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"{text!r} is not an http or https URL")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"{text!r} names no host")
    if parts.username is not None:
        raise ValueError(f"{text!r} carries a user name: a command line must not contain credentials")
    parts.port  # noqa: B018  raises ValueError when it is not a port
    if any(character.isspace() for character in text):
        raise ValueError(f"{text!r} contains a blank: write %20")
    return parts.geturl()


def _put_url(before: str, value: object) -> str:
    """A value alone is a URL; before the path it is a host or a port; in the path and after it is percent-encoded."""
    text = format_value(value)
    if not before:
        return text
    rest = before.partition("://")[2] if "://" in before else before
    if any(mark in rest for mark in "/?#"):
        return quote(text, safe="/" if "?" not in rest else "")
    if not text or not _HOST.fullmatch(text):
        raise ValueError(f"{text!r} is not a host or a port")
    return f"[{text}]" if ":" in text and _is_ipv6(text) else text


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not JSON ({error}): write it in single quotes, as in '{{\"spec\":{{…}}}}'"
        ) from error
    return text


def _put_json(before: str, value: object) -> str:
    """Inside a JSON string a value is that string's text, elsewhere a JSON value."""
    inside = '"' in _JSON_STRING.sub("", before)
    if inside:
        return json.dumps(format_value(value), ensure_ascii=False)[1:-1]
    if value is None or isinstance(value, bool | int | float | str | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(format_value(value))


def key_value(key: Callable[[str], str]) -> Callable[[str], tuple[str, str | None]]:
    """Make a `convert` that reads KEY=VALUE, or KEY- which takes the key away."""

    def convert(text: str) -> tuple[str, str | None]:
        name, equals, value = text.partition("=")
        if not equals and not text.endswith("-"):
            raise ValueError(f"{text!r} is not KEY=VALUE or KEY-")
        return (key(name), value) if equals else (key(text[:-1]), None)

    return convert


def _put_mark(before: str, value: object) -> str:
    return format_value(value) if "=" in before else _put_label_value(before, value)


def _header(text: str) -> tuple[str, str]:
    if not (found := _HEADER.fullmatch(text)):
        raise ValueError(f"{text!r} is not a header: write 'Name: value'")
    return found[1], found[2]


def _raw_path(text: str) -> str:
    """Take the paths that only tell whether the API server is well, and the usage of pods and nodes."""
    path, _, query = text.partition("?")
    if path == "/metrics" or path.startswith("/metrics/"):
        raise ValueError(
            f"{text} is longer than what a step keeps; ask the Prometheus that scrapes it: promtool query instant"
        )
    if not _HEALTH.fullmatch(text) and (query or not _USAGE_PATH.fullmatch(path)):
        raise ValueError(
            f"{text!r} is not read: a path begins with /healthz, /livez or /readyz (?verbose, ?exclude=CHECK), /version or "
            "/apis/metrics.k8s.io"
        )
    return text


def _body(text: str) -> str:
    if text.startswith("@"):
        raise ValueError(f"-d {text} would read a file: write the body itself")
    return text


def _put_body(before: str, value: object) -> str:
    """In a body that is JSON a value is put in as JSON, else as its text."""
    return _put_json(before, value) if before.lstrip()[:1] in {"{", "["} else format_value(value)


def _output(text: str) -> str:
    """Take each format of kubectl: whatever it is, a step has the whole objects."""
    if not _FORMAT.fullmatch(text):
        raise ValueError(f"-o {text} is no format of kubectl")
    return text


def _put_sql(before: str, value: object) -> str:
    raise ValueError("no value is put into SQL: write the statement out, and compare its rows in `expect`")


def _put_word(before: str, value: object) -> str:
    """
    Return a value for a program's words: a name, never a flag; inside a statement it is checked as SQL. Raises
    ValueError.
    """
    text = format_value(value)
    if any(character.isspace() for character in before):
        return _put_sql(before, value)
    if not _WORD.fullmatch(text):
        raise ValueError(f"{text!r} is not a name (letters, digits, and _.- between them)")
    return text


def _put_program_word(before: str, value: object) -> str:
    """In a container a value may be a path, too: the server's own word for where its data is."""
    text = format_value(value)
    return text if not before and _PATH.fullmatch(text) else _put_word(before, value)


def _put_method(before: str, value: object) -> str:
    raise ValueError("write the method out: it decides whether the request changes something")


_HEALTH = re.compile(
    r"/(?:healthz|livez|readyz)(?:/[A-Za-z0-9_][-A-Za-z0-9_.]{0,100}){0,5}"
    r"(?:\?(?:verbose|exclude=[-A-Za-z0-9_./]{1,100})(?:&(?:verbose|exclude=[-A-Za-z0-9_./]{1,100})){0,10})?|/version/?"
)
"""kubernetes.io, *Kubernetes API health endpoints*: single checks, and `verbose` and `exclude`."""

_USAGE_PATH = re.compile(r"/apis/metrics\.k8s\.io(?:/[a-z0-9][-a-z0-9.]{0,252}){0,5}")
_PATH = re.compile(r"(?:/[A-Za-z0-9_][-A-Za-z0-9_.%+=:@,]{0,100}){1,20}")
_WORD = re.compile(r"[A-Za-z0-9_](?:[-A-Za-z0-9_.]{0,251}[A-Za-z0-9_])?")
_put_label_value = _plain(LABEL_VALUE, "the value of a label (letters, digits, and -_. between them)")
_A_NAME = "a name (lower-case letters and digits, and - or . between them)"
_put_name = _plain(_NAME, _A_NAME)
_put_typed = _plain(_TYPED, "TYPE/NAME, as in deployment/web")
_put_host = _plain(_HOST, "a host name or an address")
_put_duration = _plain(re.compile(r"[0-9.hms]+"), "a duration")
_put_number = _plain(re.compile(r"\d{1,9}"), "a whole number")

NAME = ArgType(word="NAME", shape="name", convert=matching(_NAME, _A_NAME), sample="sample", put=_put_name)
REFERENCE = ArgType(
    word="TYPE/NAME",
    shape="name",
    convert=matching(_REFERENCE, "TYPE/NAME or a name"),
    sample="pod/sample",
    put=_put_reference,
)
BARE = replace(REFERENCE, word="NAME | TYPE/NAME", sample="sample", put=_put_bare)
WORD = ArgType(word="WORD", convert=matching(r"[A-Za-z][A-Za-z-]*", "a word"), sample="get", put=_put_name)
METHOD = replace(WORD, word="METHOD", sample="GET", put=_put_method)
PATCH_TYPE = replace(WORD, word="strategic|merge|json", sample="strategic")
SUBRESOURCE = replace(WORD, word="SUBRESOURCE", sample="resize")
INTEGER = ArgType(word="N", shape="integer", convert=_integer, sample=1, put=_put_number)
NATURAL = ArgType(word="N", shape="integer", convert=_natural, sample=1, put=_put_number)
PORT = ArgType(word="PORT", shape="integer", convert=_port, sample=1, put=_put_number)
DURATION = ArgType(
    word="DURATION", shape="duration", convert=parse_duration, sample=timedelta(seconds=1), put=_put_duration
)
SECONDS = ArgType(word="SECONDS", shape="seconds", convert=_seconds, sample=timedelta(seconds=1), put=_put_seconds)
SELECTOR = ArgType(word="SELECTOR", convert=_readable(Selector.parse), sample="sample=sample", put=_put_selector)
FIELDS = ArgType(
    word="FIELDS", convert=_readable(FieldSelector.parse), sample="metadata.name=sample", put=_put_selector
)
URL = ArgType(word="URL", shape="url", convert=_url, sample="http://sample", put=_put_url)
HOST = ArgType(word="HOST", convert=matching(_HOST, "a host name or an address"), sample="sample", put=_put_host)
RAW_PATH = ArgType(word="PATH", convert=_raw_path, sample="/readyz", put=_put_name)
JSON = ArgType(word="JSON", convert=_json, sample={"sample": 1}, put=_put_json)
_A_KEY = matching(_LABEL_KEY, "the key of a label or an annotation")
KEY_VALUE = ArgType(word="KEY=VALUE", convert=key_value(_A_KEY), sample="sample=sample", put=_put_mark)
HEADER = ArgType(word="'NAME: VALUE'", convert=_header, sample="Sample: sample")
CONDITION = ArgType(
    word="CONDITION",
    convert=matching(_CONDITION, "condition=NAME, condition=NAME=VALUE, delete, create or jsonpath='{.PATH}'=VALUE"),
    sample="delete",
)
SORT = ArgType(
    word="FIELD",
    convert=matching(_SORT, "a field to sort by, as in .metadata.creationTimestamp"),
    sample=".metadata.name",
    put=_put_label_value,
)
USAGE = ArgType(word="cpu|memory", convert=matching(r"cpu|memory", "cpu or memory"), sample="cpu")
TEXT = ArgType(word="TEXT", convert=matching(r"(?s).*", "text"), sample="sample", put=_put_text)
PASSED = replace(TEXT, word="WORD", put=_put_word)
SQL = ArgType(word="STATEMENT", convert=plain_statement, sample="SELECT 1", put=_put_sql)
FILE = ArgType(word="FILE", convert=matching(r"/\S+|system", "a file, by its whole path"), sample="/sample")
PROGRAM_WORD = replace(PASSED, put=_put_program_word)
IDENTIFIER = replace(PASSED, word="NAME", convert=matching(_WORD, "a name (letters, digits, and _.- between them)"))
BODY = ArgType(word="BODY", convert=_body, sample="sample", put=_put_body)
OUTPUT = ArgType(word="FORMAT", convert=_output, sample="wide")
TYPES = ArgType(
    word="TYPES", convert=matching(r"(Normal|Warning)(,(Normal|Warning))?", "Normal, Warning or both"), sample="Warning"
)
