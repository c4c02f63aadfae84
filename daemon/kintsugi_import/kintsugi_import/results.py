"""What a command of a page lists, and what the page takes from its result."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from kintsugi.commands import CommandProblem, parse_template
from kintsugi.expressions import ANY, ExpressionProblem, Scope
from kintsugi.model.command import ObjectName, parts_of
from kintsugi_import.shell import Statement
from kubeobjects.resources import Resource

SCOPE = Scope(names=dict.fromkeys(("params", "steps", "each", "service"), ANY))
"""The names of the expressions that an imported command may have."""

GET = re.compile(r"(?:kubectl|oc)\b[^|]*? get ")
ALL_NAMESPACES = re.compile(r"\s(?:-A|--all-namespaces)(?:=true)?(?=\s|$)")
SELECTOR = re.compile(r"\s(?:-l|--(?:field-)?selector)(?:=|\s+)?(?:\"[^\"]+\"|'[^']+'|[^\s]+)")
NAMESPACE = re.compile(r"\s(?:-n|--namespace)(?:=|\s+)(\S+)")
_FIRST_COLUMN = re.compile(r"awk ['\"]\{ ?print \$1;? ?\}['\"]|head -(?:n ?)?1|cut -d ?['\"]? ?['\"]? -f ?1")
_STATUS = re.compile(
    r"grep (?P<other>-v )?(?:-i )?['\"]?(?P<status>Running|Pending|Evicted|Error|Completed|Terminating|Unknown|OOMKilled|CrashLoopBackOff|ImagePullBackOff|ErrImagePull|ContainerStatusUnknown)['\"]?"
)
_OF_PODS = re.compile(r" get (?:po|pods?)\b(?!,)")
_ONE = re.compile(r"\bhead -(?:n ?)?1\b|items\[0\]|NR==1")
_PART_OF_A_NAME = re.compile(r"grep ['\"]?([a-z0-9][a-z0-9.-]+)['\"]?")
_FIELD = re.compile(
    r"\s(?:-o|--output)[= ]?(?:jsonpath=\{?\.?(?P<list>items\[(?:0|\*|\?\(@?\.(?P<by>[A-Za-z.]+)==['\"]?(?P<value>[\w.-]+)['\"]?\))?\]\.)?|(?P<column>custom-columns=)(?:[\w ]*:)\.?)"
    r"(?P<field>[A-Za-z]\w*(?:\.[A-Za-z]\w*|\[\d+\])*)\}?(?=\s|$)"
)
"""A field that one look prints: `jsonpath={.items[0].metadata.name}`, `custom-columns=NAME:.metadata.name`."""
_SOME = "some-object"
"""A name in the place of a parameter's."""


def kinds_of(run: str) -> Iterator[Resource]:
    """Yield the kinds of objects that a command names."""
    for part in parts_of(parse_template(run, SCOPE).sample()):
        yield part.resource if isinstance(part, ObjectName) else part


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What a look lists: objects of one kind in a namespace, as the page writes it ("" where it does not)."""

    kind: Resource
    namespace: str


def listed_by(run: str) -> Listed | None:
    """Return what a command lists, None where it is no look for all objects of one kind in one namespace."""
    kind = kind_listed(run)
    return Listed(kind=kind, namespace=namespace_of(run)) if kind and not ALL_NAMESPACES.search(run) else None


def kind_listed(run: str) -> Resource | None:
    """Return the kind of which a command lists objects, None where it is no look or names some."""
    match list(parts_of(parse_template(run, SCOPE).sample())):
        case [Resource() as kind] if GET.match(run):
            return kind
        case _:
            return None


def one_of(run: str, parameter: str) -> Listed | None:
    """Return the objects that a parameter of a look is one of, None where its place is not that of an object's name."""
    value = f"${{params.{parameter}}}"
    if run.count(value) != 1 or "${each}" in run:
        return None
    try:
        command = parse_template(run.replace(value, _SOME), SCOPE).sample()
    except (CommandProblem, ExpressionProblem):
        return None
    named = (part for part in parts_of(command) if isinstance(part, ObjectName) and part.name == _SOME)
    return next((Listed(kind=each.resource, namespace=namespace_of(run)) for each in named), None)


def namespace_of(run: str) -> str:
    """Return the namespace that a command names, "" where it names none."""
    found = NAMESPACE.search(run)
    return found[1] if found else ""


def items_of(statement: Statement) -> str:
    """Return the items of a look that its filters leave, as far as they go by a part of a name or by the status of a pod."""
    return "items" + "".join(filter(None, (_chosen_by(each, statement) for each in statement.filters)))


def _chosen_by(text: str, statement: Statement) -> str:
    if found := _PART_OF_A_NAME.fullmatch(text):
        return f'.filter(i, i.metadata.name.contains("{found[1]}"))'
    if (found := _STATUS.fullmatch(text)) and _OF_PODS.search(statement.command):
        return f'.filter(i, i.displayStatus {"!=" if found["other"] else "=="} "{found["status"]}")'
    return ""


def is_selective(statement: Statement) -> bool:
    """Return whether a look lists what a page speaks of afterwards: by labels, parts of a name or a status, and by nothing else."""
    by_filters = all(_chosen_by(each, statement) for each in statement.filters)
    return by_filters and bool(statement.filters or SELECTOR.search(statement.command))


def field_of(statement: Statement) -> str:
    """
    Return the part of a look's result that a page takes from it, as in `item.spec.nodeName`; "" where it is not one plain field.

    Of a list it is the first item's, as a page means it that goes on with one name. `-o name` gives the object itself.
    """
    try:
        words = shlex.split(statement.command)
    except ValueError:
        return ""
    text = " ".join(words)
    columns = [each for each in statement.filters if not _chosen_by(each, statement)]
    if not all(_FIRST_COLUMN.fullmatch(each) for each in columns):
        return ""
    items = items_of(statement)
    if re.search(r"\s(-o|--output)[= ]?name\b", text):
        return f"{items}[0]"
    if found := _FIELD.search(text):
        if found["by"]:
            items += f'.filter(i, i.{found["by"]} == "{found["value"]}")'
        return f"{items}[0].{found['field']}" if found["list"] or found["column"] else f"item.{found['field']}"
    return f"{items}[0].metadata.{'namespace' if ALL_NAMESPACES.search(text) else 'name'}" if columns else ""


def lists_several(statement: Statement) -> bool:
    """Return whether what a page takes from a look's result is of each of the objects, and not of one."""
    return field_of(statement).startswith("items") and not _ONE.search(statement.text)
