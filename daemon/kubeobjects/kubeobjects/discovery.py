"""
The kinds that a cluster serves besides the built-in ones, as its aggregated discovery lists them.

There is one table for the process, as there is one of the built-in kinds: commands are read and written in many places.
The API server's kinds replace those of its answer before; kinds of a file are added, and the API server's are found
first. A word of a built-in kind never means another one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kubeobjects.metadata import LABEL, SUBDOMAIN, PartialObject
from kubeobjects.resources import BUILT_IN, RESOURCES, Resource, by_word, find
from kubeobjects.spelling import nearest
from kubeobjects.unstructured import Unstructured, convert

KIND = "APIGroupDiscoveryList"

_READ = {"get", "list"}
_OWNED = {(each.group, each.plural) for each in RESOURCES}
"""What the built-in table names is never taken from discovery, in no version: Secrets and their like stay as they are."""


class _Type(PartialObject, frozen=True):
    kind: str = ""


class _Resource(PartialObject, frozen=True):
    resource: str
    response_kind: _Type | None = None
    scope: str = ""
    singular_resource: str = ""
    verbs: tuple[str, ...] = ()
    short_names: tuple[str, ...] = ()


class _Version(PartialObject, frozen=True):
    version: str
    resources: tuple[_Resource, ...] = ()


class _Metadata(PartialObject, frozen=True):
    name: str = ""


class _Group(PartialObject, frozen=True):
    metadata: _Metadata = _Metadata()
    versions: tuple[_Version, ...] = ()


class _GroupList(PartialObject, frozen=True):
    items: tuple[_Group, ...] = ()


def kinds_in(documents: Iterable[Unstructured]) -> tuple[Resource, ...]:
    """
    Return the kinds of `APIGroupDiscoveryList` documents that can be read and are not built in, each in all its versions.

    The first version of a group is its preferred one (kubernetes.io, *Aggregated discovery*), and the first kind owns a
    word that several share: the others have their group, or their version and group, in their words. Raises ReadError.
    """
    found: list[Resource] = []
    taken = set(BUILT_IN)
    for document in documents:
        for group in convert(document, _GroupList).items:
            for kind in _of_group(group, taken):
                taken.update(by_word((kind,)))
                found.append(kind)
    return tuple(found)


def _of_group(group: _Group, taken: set[str]) -> Iterator[Resource]:
    name = group.metadata.name
    for version in group.versions:
        for each in version.resources:
            kind = each.response_kind.kind if each.response_kind is not None else ""
            is_named = kind and LABEL.fullmatch(each.resource) and LABEL.fullmatch(version.version)
            if not is_named or (name and not SUBDOMAIN.fullmatch(name)):
                continue
            if not set(each.verbs) >= _READ or (name, each.resource) in _OWNED:
                continue
            singular = each.singular_resource or kind.lower()
            for suffix in ("", f".{name}" if name else "", f".{version.version}{f'.{name}' if name else ''}"):
                if f"{singular}{suffix}" not in taken and f"{each.resource}{suffix}" not in taken:
                    yield Resource(
                        kind=kind,
                        plural=each.resource,
                        singular=f"{singular}{suffix}",
                        short=each.short_names,
                        group=name,
                        version=version.version,
                        namespaced=each.scope == "Namespaced",
                    )
                    break


@dataclass(slots=True)
class _Tables:
    served: Mapping[str, Resource] = field(default_factory=dict)
    filed: Mapping[str, Resource] = field(default_factory=dict)


_TABLES = _Tables()


def set_served(kinds: Iterable[Resource]) -> None:
    """Replace the kinds of the API server."""
    _TABLES.served = by_word(kinds)


def add_filed(kinds: Iterable[Resource]) -> None:
    """Add the kinds of a file: they stay, so that a run goes on with the file that it began with."""
    _TABLES.filed = {**_TABLES.filed, **by_word(kinds)}


def forget() -> None:
    """Forget all discovered kinds: a process that works for one cluster after another begins anew."""
    _TABLES.served = _TABLES.filed = {}


def find_any(word: str) -> Resource | None:
    """Find the kind that kubectl would understand by `word`, built in or discovered, or None."""
    lower = word.lower()
    found = find(word) or _TABLES.served.get(lower) or _TABLES.filed.get(lower)
    return found or (_by_start_of_group(lower) if "." in lower else None)


def _by_start_of_group(word: str) -> Resource | None:
    """Find the only kind whose group begins as the word says: `network.config` is that of `config.openshift.io`."""
    for table in (BUILT_IN, _TABLES.served, _TABLES.filed):
        if found := {kind for full, kind in table.items() if full.startswith(f"{word}.")}:
            return found.pop() if len(found) == 1 else None
    return None


def suggest_any(word: str) -> str:
    """Return the word of any kind that is nearest to a misspelt one, "" when nothing is near."""
    return nearest(word, [*BUILT_IN, *_TABLES.served, *_TABLES.filed])
