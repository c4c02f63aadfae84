"""Writes flags and objects: the parts of the words that a command is rendered to."""

from datetime import timedelta

from kintsugi.durations import format_duration
from kintsugi.encryption import key_of
from kintsugi.model.command import ObjectName
from kubeobjects.discovery import find_any
from kubeobjects.resources import Resource


def named_objects(objects: tuple[ObjectName, ...]) -> list[str]:
    """Write `TYPE NAME…` for objects of one kind, `TYPE/NAME…` for several."""
    kinds = {each.resource for each in objects}
    if len(kinds) == 1:
        return [kinds.pop().singular, *(each.name for each in objects)]
    return [str(each) for each in objects]


def kind(resource: Resource | None) -> list[str]:
    """Write the kind of objects that are not named."""
    if resource is None:
        return []
    return [resource.plural if find_any(resource.plural) == resource else resource.singular]


def namespace_option(namespace: str | None) -> list[str]:
    """Write `-n`."""
    return ["-n", namespace] if namespace else []


def scope(namespace: str | None, *resources: Resource) -> list[str]:
    """Write `-n`, or `-A` for kinds that live in namespaces."""
    everywhere = namespace is None and any(resource.namespaced for resource in resources)
    return ["-A"] if everywhere else namespace_option(namespace)


def option(flag: str, value: str) -> list[str]:
    """Write a flag with its text, nothing without one."""
    if not value:
        return []
    return [flag + value] if flag.endswith("=") else [flag, value]


def switch(flag: str, on: bool) -> list[str]:
    """Write a switch that is on."""
    return [flag] if on else []


def number(flag: str, value: int | None) -> list[str]:
    """Write a flag with its number."""
    return [] if value is None else [f"{flag}{value}"]


def duration(flag: str, value: timedelta | None) -> list[str]:
    """Write a flag with its duration."""
    return [] if value is None else [flag + format_duration(value)]


def seconds(flag: str, value: timedelta | None) -> list[str]:
    """Write a flag with its seconds."""
    return [] if value is None else [flag, f"{value.total_seconds():g}"]


def content(text: str, *, encrypted: bool) -> str:
    """Return what a command writes, or with which key it is kept encrypted."""
    return f"[encrypted with key {key_of(text)}]" if encrypted else text


def server(host: str, port: int, user: str) -> list[str]:
    """Write `-h`, `-p` and `-U` as libpq's tools take them."""
    return [*option("-h", host), *(["-p", str(port)] if port else []), *option("-U", user)]
