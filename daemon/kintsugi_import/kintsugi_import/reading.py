"""Decides about one command of a page: Kintsugi runs it, a person does it, or it needs no step, and why."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from kintsugi.commands import CommandProblem, parse_template
from kintsugi.commands.arg_types import REFERENCE
from kintsugi.commands.kinds import SECRETS_STAY
from kintsugi.commands.template import ArgTemplate, ParsedTemplate
from kintsugi.expressions import ANY, Expression, ExpressionProblem, Scope
from kintsugi.model.command import ObjectName, parts_of
from kintsugi_import.shell import KUBECTL, LONGEST, Statement
from kubeobjects.resources import SECRETS, Resource

_SCOPE = Scope(names=dict.fromkeys(("params", "steps", "each", "service"), ANY))


class Handling(StrEnum):
    """What becomes of a command."""

    RUN = "run"
    PERSON = "person"
    LEFT_OUT = "left-out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """
    A handling with its reason. To run: the command with its `${…}`, the types of the parameters that it takes, whether it changes
    something, the list that it is repeated for (`for_each`), a look that finds these objects first, and what fell away (`notes`).
    """

    handling: Handling
    reason: str = ""
    run: str = ""
    changes: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)
    for_each: str = ""
    finds: str = ""
    notes: tuple[str, ...] = ()


_NO_STEP: Mapping[str, str] = {
    **dict.fromkeys(
        ("echo", "printf", "clear", "sleep", "cd", "set", "alias", "source", "true", ":"), "it only serves the shell"
    ),
    **dict.fromkeys(("export", "unset", "read"), "it only sets a variable of the shell"),
}
_NO_STEP_KUBECTL: Mapping[str, str] = {
    **dict.fromkeys(
        ("config", "cluster-info", "version", "api-resources", "api-versions", "explain", "completion", "options"),
        "the daemon acts on its own cluster, as itself",
    ),
    **dict.fromkeys(("login", "logout", "project", "whoami"), "the daemon acts on its own cluster, as itself"),
    "port-forward": "a request goes to the Service itself",
}
FILTERS = frozenset(
    {
        "grep",
        "egrep",
        "fgrep",
        "head",
        "tail",
        "wc",
        "sort",
        "uniq",
        "awk",
        "sed",
        "cut",
        "tr",
        "jq",
        "yq",
        "less",
        "more",
        "column",
        "cat",
        "tee",
        "rg",
        "nl",
        "tac",
    }
)
"""The programs behind a pipe that only shorten or reorder what a person sees."""

_NO_FILTER = re.compile(r"\bsystem\(|\bsh\b|-i\b")
_IN_FRONT = re.compile(r"^(?:sudo(?:\s+-\w+)*\s+|time\s+|watch(?:\s+-[nd]\s*[\d.]*)*\s+(?:--\s+)?)+")
_OTHER_CLUSTER = re.compile(r"\s--(?:context|kubeconfig|cluster)[= ](?:\"[^\"]*\"|'[^']*'|\S+)")
_WATCH = re.compile(r"\s(?:-w|--watch(?:-only)?)(?:=true)?(?=\s|$)")
_FORCED = re.compile(r"\s(?:--force(?:=true)?|--grace-period[= ]0|--now(?:=true)?)(?=\s|$)")
_FALLS_AWAY = ((" delete ", _FORCED), (" drain ", _FORCED), (" get ", _WATCH))
_FORMAT = re.compile(
    r"\s(?:(?:-o|--output)(?:=|\s*)(?:jsonpath|custom-columns|go-template|template)|--template(?:=|\s+)(?=\S))(?:'[^']*'|\"[^\"]*\"|\S)*"
)
_PLACED = r" (?:-n|-c|--namespace|--container)[= ]\S+"
_RSH = re.compile(r"^oc((?: -n \S+)?) rsh ((?:-[nc] \S+ )*)(\S+) (?!-)(.+)$")
_EXEC_WITHOUT_DASHES = re.compile(
    rf"^((?:kubectl|oc)(?:{_PLACED})* exec(?:{_PLACED}| -\w+| --\w+(?:=\S+)?)* (?!-)\S+(?:{_PLACED})*) (?!-)([\w./-]+(?: .+)?)$"
)
_WITHOUT_KIND = re.compile(rf" delete(?:{_PLACED}| -\S+)* \$")
_RESTART = re.compile(
    rf"^kubectl(?P<before>(?:{_PLACED})*) rollout restart(?P<placed>(?:{_PLACED})*)(?P<named>(?: [a-z0-9][\w./-]*)+)(?P<after>(?:{_PLACED})*)$"
)
_RUN_ONCE = re.compile(r"^(?:kubectl|oc) (?=.*--rm\b)(.*\brun .*?) -- (.+)$")
_SHORT_HOST = re.compile(r"(?<=\shttp://)(?!localhost\b)[a-z][a-z0-9-]*(?=[:/ ]|$)")
_GLOB = re.compile(r"(?<= )(/[\w./-]*)/[\w.-]*\*[\w.*-]*(?= |$)")
_LOCALHOST = re.compile(r"\b(localhost|127\.0\.0\.1)\b")
_PLACEHOLDERS = re.compile(
    r"<([A-Za-z][^<>\n]{0,60})>|\{\{\s*\$?\.?([A-Za-z][\w. -]{0,60})\s*\}\}|(?<=[\s=/:\"'])\[([A-Za-z][A-Za-z0-9_ -]{1,40})\](?=[\s/:\"']|$)"
    r"|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)|(?<=[\s=/:])\{([A-Za-z][A-Za-z0-9_-]{1,40})\}(?=[\s/:]|$)"
)
_CAPITALS = re.compile(
    r"(?<=[\s=/:])((?=(?:[A-Z]+[_-])*(?:POD|NODE|NAME|NAMESPACE|CONTAINER|DEPLOYMENT|STATEFULSET|PVC|JOB))[A-Z]+(?:[_-][A-Z]+)*)(?=[\s/:]|$)"
)
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
_OF_LABELS = re.compile(r"^(?:alert\.)?(?:common)?labels\.(?=.)", re.IGNORECASE)
"""What stands before the label in `{{ $labels.pod }}`, as a template of Prometheus writes it."""
_PARAMETER = re.compile(r"^params\.([a-z][a-z0-9_]*)$")
_OF_NODES = frozenset({"cordon", "uncordon", "drain"})
_CHANGES_SEVERAL = _OF_NODES | {"delete", "restart", "label", "annotate", "scale"}
_GET = re.compile(r"(?:kubectl|oc)\b[^|]*? get ")
_ALL_NAMESPACES = re.compile(r"\s(?:-A|--all-namespaces)(?:=true)?(?=\s|$)")
_NAMED_EVERYWHERE = re.compile(
    r"^(kubectl get [a-z][\w.]*) (?!-)([\w.${}-]+)(?=[^|]*\s(?:-A|--all-namespaces)(?:\s|$))"
)
_ITS_NAMESPACE = "${each.metadata.namespace}"
_REPLACES_DATA = "it replaces data, and half of that is worse than none"
_SOME = "some-object"
"""A name in the place of a parameter's."""
_SELECTOR = re.compile(r"\s(?:-l|--(?:field-)?selector)(?:=|\s+)?(?:\"[^\"]+\"|'[^']+'|[^\s]+)")
_ALL = re.compile(r"\s--all(?:=true)?(?=\s|$)")
_XARGS = re.compile(r"xargs(?: -[rt]| -n ?1| --no-run-if-empty| -I ?\S+)* (kubectl .+)")
_NAMESPACE = re.compile(r"\s(?:-n|--namespace)(?:=|\s+)(\S+)")


def parameter_name(text: str) -> str:
    """Return the name of a parameter for what a page calls a value, of at most four words."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", _OF_LABELS.sub("", text.strip())).lower()
    plain = "_".join(re.sub(r"[^a-z0-9]+", "_", words).strip("_").split("_")[:4])
    return plain if plain[:1].isalpha() else f"value_{plain}".rstrip("_")


def with_values(text: str, values: Mapping[str, str]) -> str:
    """
    Write the placeholders of a command as `${…}`. `values` are expressions by the names that the page has given a value; each other
    name is a parameter.
    """

    def value(name: str) -> str:
        return f"${{{values.get(name) or values.get(parameter_name(name)) or f'params.{parameter_name(name)}'}}}"

    def hole(found: re.Match[str]) -> str:
        return value(next(group for group in found.groups() if group))

    pieces = re.split(r"(\$\{(?:params|steps|service|each)\b[^}]*\})", _PLACEHOLDERS.sub(hole, text))
    return "".join(each if at % 2 else _CAPITALS.sub(hole, each) for at, each in enumerate(pieces))


def read_statement(statement: Statement, values: Mapping[str, str]) -> Reading:
    """Decide about a statement that is one command; `values` as in `with_values`."""
    line = _IN_FRONT.sub("", statement.command).strip()
    words = line.split()
    if not words:
        return Reading(handling=Handling.LEFT_OUT, reason="it only sets a variable of the shell")
    if words[0] in _NO_STEP and all(map(_is_filter, statement.filters)):
        return Reading(handling=Handling.LEFT_OUT, reason=_NO_STEP[words[0]])
    if (
        words[0] in KUBECTL
        and (verb := next((each for each in words[1:] if not each.startswith("-")), "")) in _NO_STEP_KUBECTL
    ):
        return Reading(handling=Handling.LEFT_OUT, reason=_NO_STEP_KUBECTL[verb])
    if not statement.whole:
        return _person(f"it is longer than {LONGEST} characters" if len(line) > LONGEST else "only a shell can do it")
    if words[0] == "curl" and _LOCALHOST.search(line):
        return _person("localhost is the reader's own machine")
    notes = [f"without {_shown(each)}" for each in statement.filters]
    line, format_note = _without_format(line)
    line, more = _normal(with_values(line, values))
    reading = _parsed(line)
    if format_note and reading.run and SECRETS in kinds_of(reading.run):
        return _person(SECRETS_STAY)
    if statement.filters and (piped := _for_each_piped(statement, reading)) is not None:
        return piped
    if statement.filters and (reading.changes or not all(map(_is_filter, statement.filters))):
        return _person(f"its output goes on into {_shown(statement.filters[-1])}")
    return reading if reading.handling is Handling.PERSON else replace(reading, notes=(*notes, *format_note, *more))


def _normal(line: str) -> tuple[str, tuple[str, ...]]:
    """Write kubectl's other forms as the grammar takes them, and say what fell away."""
    notes: list[str] = []
    place = "${service.namespace}"
    if found := _RSH.match(line):
        line = f"oc{found[1]} exec {found[2]}{found[3]} -- {found[4]}"
    elif " -- " not in line and (found := _EXEC_WITHOUT_DASHES.match(line)):
        line = f"{found[1]} -- {found[2]}"
    elif found := _RUN_ONCE.match(line):
        place = _namespace_of(f" {found[1]}") or place
        line = found[2]
        notes.append("without a pod of its own: Kintsugi itself asks")
    if line.startswith("curl "):
        line = _SHORT_HOST.sub(lambda host: f"{host[0]}.{place}", line)
    if line.split()[0] in KUBECTL:
        line = re.sub(r"^oc(?= (?!adm ))", "kubectl", line).replace(" --delete-local-data", " --delete-emptydir-data")
        line = _NAMED_EVERYWHERE.sub(r"\1 --field-selector=metadata.name=\2", line)
        own, dashes, rest = line.partition(" -- ")
        of_verb = [pattern for verb, pattern in _FALLS_AWAY if verb in own]
        for pattern in (_OTHER_CLUSTER, *of_verb):
            notes += [f"without {found.strip()}" for found in pattern.findall(own)]
            own = pattern.sub("", own)
        if dashes and rest.startswith(("ls ", "du ")) and _GLOB.search(rest):
            notes.append(f"without the glob of {rest}")
            rest = _GLOB.sub(r"\1", rest).replace("du -sh ", "du -h -d 1 ", 1)
        line = own + dashes + rest
    return line, tuple(notes)


def _without_format(command: str) -> tuple[str, tuple[str, ...]]:
    """Leave out how a look prints its result: a step has the whole objects."""
    if not _GET.match(command):
        return command, ()
    return _FORMAT.sub("", command), tuple(f"without {found[0].strip()}" for found in _FORMAT.finditer(command))


def _parsed(line: str) -> Reading:
    try:
        template = parse_template(line, _SCOPE)
    except (CommandProblem, ExpressionProblem) as problem:
        several = _for_each_selected(line) or _for_each_named(line)
        return several if several is not None else _person(_reason(str(problem)))
    if template.replaces_data:
        return _person(_REPLACES_DATA)
    if template.changes and "finalizers" in line:
        return _person("a finalizer keeps an object until its controller has cleaned up")
    return Reading(handling=Handling.RUN, run=line, changes=template.changes, parameters=parameters_of(template))


def _for_each_selected(line: str) -> Reading | None:
    """Read a change of all objects of a selector or of a type as a look, and the change for each object that it finds."""
    words = line.split()
    verb = next((word for word in words[1:4] if word in _CHANGES_SEVERAL), "")
    chosen = [found[0] for each in (_SELECTOR, _ALL_NAMESPACES) for found in each.finditer(line)]
    if words[0] != "kubectl" or not verb or not (chosen or _ALL.search(line) or verb == "restart"):
        return None
    plain = _ALL.sub("", _ALL_NAMESPACES.sub("", _SELECTOR.sub("", line)))
    place = _NAMESPACE.search(line)
    kind = next(
        (word for word in _NAMESPACE.sub("", plain).split()[1:] if word not in (verb, "rollout") and word[0] != "-"), ""
    )
    if verb in _OF_NODES and not kind:
        return _for_each(f"kubectl get nodes{''.join(chosen)}", f"{plain} ${{each}}")
    if not kind or "/" in kind or "$" in kind:
        return None
    look = f"kubectl get {kind}{''.join(chosen)}{place[0] if place else ''}"
    named = f"{kind} ${{each}}" if verb == "delete" else "${each}"
    change = re.sub(rf"(?<= ){re.escape(kind)}(?= |$)", lambda _: named, plain, count=1)
    return _for_each(look, change)


def _for_each_named(line: str) -> Reading | None:
    """Read `kubectl rollout restart` of several objects as one for each of them, as kubectl does it."""
    found = _RESTART.match(line)
    first, *others = found["named"].split() if found else [""]
    kind, _, name = first.partition("/")
    if not found or not others or "$" in line:
        return None
    objects = [first, *others] if name else [f"{kind}/{each}" for each in others]
    run = f"kubectl{found['before']} rollout restart ${{each}}{found['placed']}{found['after']}"
    reading = _parsed(run)
    named = ", ".join(f'"{each}"' for each in objects)
    return replace(reading, for_each=f"[{named}]") if reading.run else None


def _for_each_piped(statement: Statement, look: Reading) -> Reading | None:
    """Read `kubectl get … | xargs kubectl delete` as a look, and the change for each object that it finds."""
    *filters, last = statement.filters
    found = _XARGS.fullmatch(last)
    items, _, field = field_of(replace(statement, filters=tuple(filters))).partition("[0]")
    kind = _kind_listed(look.run) if look.run else None
    if not found or kind is None or not items.startswith("items") or field not in ("", ".metadata.name"):
        return None
    change = found[1].replace("{}", "${each}")
    if "${each}" not in change:
        change += " ${each}"
    if _WITHOUT_KIND.search(change):
        change = change.replace(" ${each}", f" {kind.singular} ${{each}}")
    if not _NAMESPACE.search(change) and (namespace := _namespace_of(look.run)):
        change += f" -n {namespace}"
    return _for_each(look.run, change, items)


def _for_each(look: str, change: str, items: str = "items") -> Reading | None:
    if _ALL_NAMESPACES.search(look):
        change += f" -n {_ITS_NAMESPACE}"
    try:
        asked, made = parse_template(look, _SCOPE), parse_template(change, _SCOPE)
    except (CommandProblem, ExpressionProblem):
        return None
    if made.replaces_data:
        return _person(_REPLACES_DATA)
    types = {**parameters_of(asked), **parameters_of(made)}
    return Reading(
        handling=Handling.RUN, run=change, changes=made.changes, parameters=types, for_each=items, finds=look
    )


def verb_of(run: str) -> str:
    """Return the words that start a command."""
    return parse_template(run, _SCOPE).verb


def kinds_of(run: str) -> Iterator[Resource]:
    """Yield the kinds of objects that a command names."""
    for part in parts_of(parse_template(run, _SCOPE).sample()):
        yield part.resource if isinstance(part, ObjectName) else part


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What a look lists: objects of one kind in a namespace, as the page writes it ("" where it does not)."""

    kind: Resource
    namespace: str


def listed_by(run: str) -> Listed | None:
    """Return what a command lists, None where it is no look for all objects of one kind in one namespace."""
    kind = _kind_listed(run)
    return Listed(kind=kind, namespace=_namespace_of(run)) if kind and not _ALL_NAMESPACES.search(run) else None


def _kind_listed(run: str) -> Resource | None:
    match list(parts_of(parse_template(run, _SCOPE).sample())):
        case [Resource() as kind] if _GET.match(run):
            return kind
        case _:
            return None


def one_of(run: str, parameter: str) -> Listed | None:
    """Return the objects that a parameter of a look is one of, None where its place is not that of an object's name."""
    value = f"${{params.{parameter}}}"
    if run.count(value) != 1 or "${each}" in run:
        return None
    try:
        command = parse_template(run.replace(value, _SOME), _SCOPE).sample()
    except (CommandProblem, ExpressionProblem):
        return None
    named = (part for part in parts_of(command) if isinstance(part, ObjectName) and part.name == _SOME)
    return next((Listed(kind=each.resource, namespace=_namespace_of(run)) for each in named), None)


def _namespace_of(run: str) -> str:
    found = _NAMESPACE.search(run)
    return found[1] if found else ""


def in_all_namespaces(reading: Reading) -> Reading:
    """Return a look for a runbook about all services: without a service, one in its namespace is one in all of them."""
    try:
        parse_template(reading.run, _SCOPE).sample(namespace="")
    except (CommandProblem, ExpressionProblem):
        return replace(reading, run=f"{reading.run} -A")
    return reading


def parameters_of(template: ParsedTemplate) -> Mapping[str, str]:
    """Return the parameters that a command takes, each with the type that its place asks for."""
    found: dict[str, str] = {}
    places = (*template.arguments, *(place for _, given in template.flags for place in given))
    for place in places:
        for part in place.parts:
            if isinstance(part, Expression) and (name := _PARAMETER.match(part.source)):
                found[name[1]] = narrower(found.get(name[1], ""), _type_of(place))
    return found


def _type_of(place: ArgTemplate) -> str:
    match place.kind.shape:
        case "name" if place.kind is REFERENCE and place.alone:
            return "workload"
        case "name" | "integer" | "duration" as shape:
            return shape
        case "seconds":
            return "duration"
        case "url" if place.alone:
            return "url"
        case _:
            return "string"


_ORDER = ("workload", "integer", "duration", "url", "name", "string", "")


def narrower(one: str, other: str) -> str:
    """Return the type that takes less of two."""
    return min(one, other, key=_ORDER.index)


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
    return by_filters and bool(statement.filters or _SELECTOR.search(statement.command))


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
    return f"{items}[0].metadata.{'namespace' if _ALL_NAMESPACES.search(text) else 'name'}" if columns else ""


def lists_several(statement: Statement) -> bool:
    """Return whether what a page takes from a look's result is of each of the objects, and not of one."""
    return field_of(statement).startswith("items") and not _ONE.search(statement.text)


def _is_filter(text: str) -> bool:
    """Return whether a pipe or a redirect only shortens the output, or puts it somewhere else."""
    if re.match(r"[\d&]*>", text):
        return True
    first = text.split(maxsplit=1)[0] if text.split() else ""
    return first in FILTERS and not (_NO_FILTER.search(text) and first in ("awk", "sed"))


def _reason(problem: str) -> str:
    """Return why a command is a person's, without what an author of a runbook would write instead."""
    return re.split(r"; it is written:|: known are|[:;] write ", problem)[0]


def _person(reason: str) -> Reading:
    return Reading(handling=Handling.PERSON, reason=reason)


def _shown(text: str) -> str:
    return text if re.match(r"[\d&]*>", text) else f"| {text}"
