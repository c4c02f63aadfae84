"""Decides about one command of a page: Kintsugi runs it, a person does it, or it needs no step, and why."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from kintsugi.commands import CommandProblem, parse_template
from kintsugi.commands.arg_types import REFERENCE
from kintsugi.commands.kinds import SECRETS_STAY
from kintsugi.commands.left_open import LeftOpen, LeftOpenProblem, parameter_name
from kintsugi.commands.template import ArgTemplate, ParsedTemplate
from kintsugi.expressions import Expression, ExpressionProblem
from kintsugi_import.results import (
    ALL_NAMESPACES,
    GET,
    NAMESPACE,
    SCOPE,
    SELECTOR,
    field_of,
    kind_listed,
    kinds_of,
    namespace_of,
)
from kintsugi_import.shell import IN_BRACKETS, KUBECTL, LONGEST, Statement
from kubeobjects.resources import SECRETS


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
_FILTERS = frozenset(
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
        "findstr",
        "select-object",
        "select-string",
    }
)
"""The programs behind a pipe that only shorten or reorder what a person sees."""

_NO_FILTER = re.compile(r"\bsystem\(|\bsh\b|-i\b")
_IN_FRONT = re.compile(
    r"^(?:sudo(?:\s+-\w+)*\s+|(?:k3s|microk8s)\s+(?=kubectl\s)|time\s+|watch(?:\s+-[nd]\s*[\d.]*)*\s+(?:--\s+)?)+"
)
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
_PLACEHOLDERS = re.compile(r"<([A-Za-z][^<>\n]{0,60})>|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)|" + IN_BRACKETS)
_UNMARKED = re.compile(
    r"(?<=[\s=/:])((?=(?:[A-Z]+[_-])*(?:POD|NODE|NAME|NAMESPACE|CONTAINER|DEPLOYMENT|STATEFULSET|PVC|JOB|[A-Z]+[_-]HOST|YOUR[_-]))[A-Z]+(?:[_-][A-Z]+)*|[a-z0-9][a-z0-9.-]{0,60}-x{3,}(?:-[xy]{3,}){0,3})(?=[\s/:]|$)"
)
"""Placeholders that nothing but their letters marks: `POD_NAME`, `web-xxxxx`."""
_PARAMETER = re.compile(r"^params\.([a-z][a-z0-9_]*)$")
_OF_NODES = frozenset({"cordon", "uncordon", "drain"})
_CHANGES_SEVERAL = _OF_NODES | {"delete", "restart", "label", "annotate", "scale"}
_NAMED_EVERYWHERE = re.compile(
    r"^(kubectl get [a-z][\w.]*) (?!-)([\w.${}-]+)(?=[^|]*\s(?:-A|--all-namespaces)(?:\s|$))"
)
_REPLACES_DATA = "it replaces data, and half of that is worse than none"
_ALL = re.compile(r"\s--all(?:=true)?(?=\s|$)")
_XARGS = re.compile(r"xargs(?: -[rt]| -n ?1| --no-run-if-empty| -I ?\S+)* (kubectl .+)")


def with_values(text: str, values: Mapping[str, str]) -> str:
    """
    Write the placeholders of a command as `${…}`. `values` are expressions by the names that the page has given a value; each other
    name is a parameter.
    """

    def hole(found: re.Match[str]) -> str:
        return _value(next(group for group in found.groups() if group), values)

    pieces = re.split(r"(\$\{(?:params|steps|service|each)\b[^}]*\})", _PLACEHOLDERS.sub(hole, text))
    return "".join(each if at % 2 else _UNMARKED.sub(hole, each) for at, each in enumerate(pieces))


def _value(name: str, values: Mapping[str, str]) -> str:
    return f"${{{values.get(name) or values.get(parameter_name(name)) or f'params.{parameter_name(name)}'}}}"


def _filled(line: str, left: Sequence[LeftOpen], values: Mapping[str, str]) -> str:
    """Write what the grammar takes for a placeholder, such as the N of `web-N`, as `with_values` writes the others."""
    for each in left:
        alone = rf"(?<![A-Za-z0-9]){re.escape(each.written)}(?![A-Za-z0-9])"
        line = _value(each.name, values).join(re.split(alone, line))
    return line


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
    reading = _parsed(line, values)
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
        place = namespace_of(f" {found[1]}") or place
        line = found[2]
        notes.append("without a pod of its own: Kintsugi itself asks")
    if line.startswith("curl "):
        line = _SHORT_HOST.sub(lambda host: f"{host[0]}.{place}", line)
    if line.split()[0] in KUBECTL:
        line = re.sub(r"^oc(?= (?!adm ))", "kubectl", line).replace(" --delete-local-data", " --delete-emptydir-data")
        line = re.sub(r"^kubectl argo rollouts get rollouts? ", "kubectl get rollouts.argoproj.io ", line)
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
    if not GET.match(command):
        return command, ()
    return _FORMAT.sub("", command), tuple(f"without {found[0].strip()}" for found in _FORMAT.finditer(command))


def _parsed(line: str, values: Mapping[str, str]) -> Reading:
    try:
        template = parse_template(line, SCOPE)
    except LeftOpenProblem as problem:
        filled = _filled(line, problem.values, values)
        return _parsed(filled, values) if filled != line else _person(_reason(str(problem)))
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
    chosen = [found[0] for each in (SELECTOR, ALL_NAMESPACES) for found in each.finditer(line)]
    if words[0] != "kubectl" or not verb or not (chosen or _ALL.search(line) or verb == "restart"):
        return None
    plain = _ALL.sub("", ALL_NAMESPACES.sub("", SELECTOR.sub("", line)))
    place = NAMESPACE.search(line)
    kind = next(
        (word for word in NAMESPACE.sub("", plain).split()[1:] if word not in (verb, "rollout") and word[0] != "-"), ""
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
    reading = _parsed(run, {})
    named = ", ".join(f'"{each}"' for each in objects)
    return replace(reading, for_each=f"[{named}]") if reading.run else None


def _for_each_piped(statement: Statement, look: Reading) -> Reading | None:
    """Read `kubectl get … | xargs kubectl delete` as a look, and the change for each object that it finds."""
    *filters, last = statement.filters
    found = _XARGS.fullmatch(last)
    items, _, field = field_of(replace(statement, filters=tuple(filters))).partition("[0]")
    kind = kind_listed(look.run) if look.run else None
    if not found or kind is None or not items.startswith("items") or field not in ("", ".metadata.name"):
        return None
    change = found[1].replace("{}", "${each}")
    if "${each}" not in change:
        change += " ${each}"
    if _WITHOUT_KIND.search(change):
        change = change.replace(" ${each}", f" {kind.singular} ${{each}}")
    if not NAMESPACE.search(change) and (namespace := namespace_of(look.run)):
        change += f" -n {namespace}"
    return _for_each(look.run, change, items)


def _for_each(look: str, change: str, items: str = "items") -> Reading | None:
    if ALL_NAMESPACES.search(look):
        change += " -n ${each.metadata.namespace}"
    try:
        asked, made = parse_template(look, SCOPE), parse_template(change, SCOPE)
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
    return parse_template(run, SCOPE).verb


def in_all_namespaces(reading: Reading) -> Reading:
    """Return a look for a runbook about all services: without a service, one in its namespace is one in all of them."""
    try:
        parse_template(reading.run, SCOPE).sample(namespace="")
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


def _is_filter(text: str) -> bool:
    """Return whether a pipe or a redirect only shortens the output, or puts it somewhere else."""
    if re.match(r"[\d&]*>", text):
        return True
    first = text.split(maxsplit=1)[0].lower() if text.split() else ""
    return first in _FILTERS and not (_NO_FILTER.search(text) and first in ("awk", "sed"))


def _reason(problem: str) -> str:
    """Return why a command is a person's, without what an author of a runbook would write instead."""
    return re.split(r"; it is written:|: known are|[:;] write ", problem)[0]


def _person(reason: str) -> Reading:
    return Reading(handling=Handling.PERSON, reason=reason)


def _shown(text: str) -> str:
    return text if re.match(r"[\d&]*>", text) else f"| {text}"
