"""The names of settings in the file and in variables, and their types: each with its check and a suggestion."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from kintsugi.durations import parse_duration

PREFIX = "KINTSUGI_"


def camel(name: str) -> str:
    """Write a name in camelCase; one that is so already stays."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def snake(name: str) -> str:
    """Write a name in snake_case; one that is so already stays."""
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


STRICT = ConfigDict(
    extra="forbid",
    use_attribute_docstrings=True,
    hide_input_in_errors=True,
    alias_generator=camel,
    populate_by_name=True,
)
"""The configuration of all settings: no unknown field, texts as documentation, no value in errors, camelCase outside."""


def _as_list(value: object) -> object:
    """Split `a,b` into a list, so that a variable of the environment can hold several."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _http_url(value: str) -> str:
    """Accept an address over HTTP, without the slash at its end."""
    if not value.startswith(("http://", "https://")):
        raise ValueError("not an address over HTTP: write http://HOST:PORT or https://HOST")
    return value.rstrip("/")


def _origin(value: str) -> str:
    """Accept an address over HTTP without a path: pages have the paths below it."""
    if urlsplit(value).path or "?" in value or "#" in value:
        raise ValueError("has a path: write http://HOST:PORT or https://HOST")
    return value


def _duration(value: object) -> object:
    """Read a duration from its text; anything else is left to the next reader."""
    return parse_duration(value) if isinstance(value, str) else value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return value


def _matching(pattern: str, what: str) -> AfterValidator:
    """Accept a text that a pattern matches whole; `what` completes the sentence about any other."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not {what}")
        return value

    return AfterValidator(check)


Wait = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_as_list)]
Names = Annotated[frozenset[str], BeforeValidator(_as_list)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
HttpOrigin = Annotated[str, AfterValidator(_http_url), AfterValidator(_origin)]
Percentage = Annotated[str, _matching(r"([1-9][0-9]?|100)%", "a percentage from 1% to 100%: write a value such as 50%")]
Quantity = Annotated[
    str,
    _matching(
        r"(?=.*[1-9])\d{1,12}(\.\d{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?",
        "a Kubernetes quantity: write a value such as 20Gi, 512Mi or 250m",
    ),
]
_DNS_NAME = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?"
ObjectName = Annotated[
    str, _matching(_DNS_NAME, "the name of an object: lower-case letters, digits, and -. between them")
]
HostName = Annotated[
    str, _matching(_DNS_NAME, "a host: write its name alone, in lower case, as in runbooks.example.com")
]
HostNames = Annotated[frozenset[HostName], BeforeValidator(_as_list)]
_PART = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_OF_KUBERNETES = (
    r"(?:admissionregistration|apiextensions|apiregistration|authentication|authorization|certificates|coordination|discovery|events"
    r"|flowcontrol\.apiserver|internal\.apiserver|metrics|networking|node|rbac\.authorization|resource|scheduling|storage"
    r"|storagemigration)\.k8s\.io"
)
"""The groups of the API server itself (`kubectl api-versions`, Kubernetes 1.34): among their types are those that grant rights."""

KindName = Annotated[
    str,
    Field(max_length=253),
    _matching(
        rf"{_PART}\.(?!{_OF_KUBERNETES}$){_PART}(?:\.{_PART})+",
        "a type whose objects may be changed: write PLURAL.GROUP, as in certificates.cert-manager.io, and no type of Kubernetes itself",
    ),
]
KindNames = Annotated[frozenset[KindName], BeforeValidator(_as_list)]
Namespaces = Annotated[frozenset[ObjectName], BeforeValidator(_as_list)]
ImageName = Annotated[
    str,
    _matching(r"[a-z0-9][A-Za-z0-9._/:@-]{0,400}", "an image: write a name such as registry.example.com/kintsugi:1.0"),
]
