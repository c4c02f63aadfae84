"""Puts the steps of a page together: which procedures it has, their groups in the page's order, and each command's step."""

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from kintsugi.commands.left_open import parameter_name
from kintsugi.errors import KintsugiError
from kintsugi_import.page import Code, Element, Heading, MarkdownPage, Marker, Passage
from kintsugi_import.reading import Handling, Reading, narrower, read_statement
from kintsugi_import.results import (
    Listed,
    field_of,
    is_selective,
    items_of,
    listed_by,
    lists_several,
    namespace_of,
    one_of,
)
from kintsugi_import.shell import Statement, enters, statements
from kintsugi_import.words import (
    Label,
    Role,
    alternative,
    by_priority,
    duration_in,
    expectation,
    external_address,
    forbidden,
    label_of,
    labelled,
    role_of,
    unhealthy_pod,
)

_ALERT = re.compile(r"^(?:Alert(?: name)?: )?`?([A-Z][a-z0-9]+[A-Z][A-Za-z0-9]*)`?$")
_NUMBERED = re.compile(
    r"^(?:step|phase|ステップ|フェーズ|手順)\s*\d+\s*[:：.)-]\s*|^\d+(?:\.\d+)*[.)]?\s+", re.IGNORECASE
)
_DONE_BY_A_PERSON = frozenset({Role.MITIGATION, Role.ROLLBACK, Role.VERIFICATION})
_QUERIES = frozenset({"sql", "psql", "mysql"})
_FILES = frozenset({"yaml", "yml", "json", "toml", "ini", "hcl", "terraform", "python", "javascript"})
"""The languages of what a person runs or applies: a query anywhere, a file where the section says what to do."""
_FORWARD = re.compile(r"port-forward\b.*?\s(?:svc|services?)/(\S+)(?:.*?\s(\d+):(\d+))")
_SOME_POD = re.compile(r"(?<= )(?:pods?/)?[a-z0-9-]+-pod(?:-name)?(?= |$)")
_OPEN = re.compile(r"<([^<>]+)>")
_AROUND = " :：-–—.|"
"""What surrounds a sentence that names a command."""
_TO_ZERO = re.compile(r"\sscale\s.*\s--replicas[= ]0(?=\s|$)")
_EMPTY_CELL = re.compile(r"\s\|\s*\|(?=\s)")
_MOST_NAME = 100
_MOST_ASKED = 20
"""Steps before an expected result among which that is looked for which it is about."""


class TooManyCommands(KintsugiError):
    """A page has more commands than are read."""


@dataclass(kw_only=True, slots=True)
class StepDraft:
    """
    A step in the making. A person's has `command`, the exact text, with what is said between as comments; and a reason for each
    command in it. One that Kintsugi runs has its `reading`, or a `runbook`, perhaps of another `service`.
    """

    id: str
    name: str
    line: int
    reading: Reading | None = None
    text: str = ""
    command: str = ""
    question: str = ""
    expected: str = ""
    expect: str = ""
    runbook: str = ""
    service: str = ""
    source: "list[CommandDraft]" = field(default_factory=list)

    def go_on(self, text: str, commands: "Sequence[CommandDraft]") -> None:
        """Let a person do more in this step. What is said after its first command stands between the commands, too, as a comment."""
        texts = [f"Expected: {self.expected}"] if self.expected else []
        if text and text not in self.text.split("\n"):
            texts.append(text)
            self.name = textwrap.shorten(f"{self.name.rstrip('.。:：')}; {text}", _MOST_NAME, placeholder=" …")
        self.expected = ""
        self.text = "\n".join([self.text, *texts])
        lines = [self.command, *(f"# {each}" for each in texts)] if self.command else []
        self.source += commands
        self.command = "\n".join([*lines, *(each.text for each in commands)])


@dataclass(kw_only=True, slots=True)
class CommandDraft:
    """One command of the page, and what becomes of it."""

    text: str
    line: int
    handling: Handling
    reason: str = ""


@dataclass(kw_only=True, slots=True)
class Group:
    """
    The steps of one section, and its other texts; `items` are those that are bullets. `question` is asked before all steps, "" without
    one.
    """

    name: str
    role: Role
    line: int
    question: str = ""
    steps: list[StepDraft] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class ParameterDraft:
    """A value that a page leaves open: its type, the alert's label that has it ("" without one), and its default."""

    type: str = ""
    label: str = ""
    default: str = ""


@dataclass(kw_only=True, slots=True)
class Procedure:
    """
    A runbook in the making. `commands` are all commands of its part of the page, `order` the services that it lists by priority,
    `found` the values that it leaves open and that its own looks find.
    """

    name: str
    title: str
    service: str = ""
    alert: str = ""
    after: str = ""
    groups: list[Group] = field(default_factory=list)
    parameters: dict[str, ParameterDraft] = field(default_factory=dict)
    commands: list[CommandDraft] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    found: set[str] = field(default_factory=set)

    @property
    def steps(self) -> Iterator[StepDraft]:
        """Yield all its steps."""
        return (step for group in self.groups for step in group.steps)


def procedures(page: MarkdownPage, stem: str, most: int = sys.maxsize) -> list[Procedure]:
    """
    Return the procedures of a page; `stem` names one that has no name of its own.

    Raises TooManyCommands for a page with more than `most`, before it has read them all.
    """
    found: list[Procedure] = []
    for procedure, own, part in _parts(page, stem):
        found.append(_Drafting(procedure=procedure, own=own, most=most).draft(part))
        most -= len(procedure.commands)
    return [each for each in found if each.commands or each.name != _kebab(stem) or len(found) == 1]


def _parts(page: MarkdownPage, stem: str) -> Iterator[tuple[Procedure, int, Sequence[Element]]]:
    """Split a page by identifiers, or by names of alerts; each part with the level of its heading."""
    elements = page.elements
    heads = [at for at, each in enumerate(elements) if isinstance(each, Heading)]
    named: list[tuple[int, str, str]] = []
    head = 0
    for at, each in enumerate(elements):
        head = at if isinstance(each, Heading) else head
        label, value = labelled(each.text) if isinstance(each, Passage) else (None, "")
        if label is Label.ID and (found := re.match(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", value)):
            named.append((head, found[0], ""))
    if not named:
        alerts = [(at, _ALERT.match(elements[at].text)) for at in heads]
        named = [(at, _kebab(found[1]), found[1]) for at, found in alerts if found]
        named = named if len(named) > 1 else []
    if not named:
        opening = next((each.text for each in elements if isinstance(each, Heading)), "")
        found = _ALERT.match(page.title) or _ALERT.match(opening) or _ALERT.match(stem)
        alert = found[1] if found else ""
        yield Procedure(name=_kebab(alert or stem), title=page.title or stem, alert=alert), 1, elements
        return
    yield Procedure(name=_kebab(stem), title=page.title or stem), 1, elements[: named[0][0]]
    for number, (start, name, alert) in enumerate(named):
        first = elements[start]
        end = named[number + 1][0] if number + 1 < len(named) else len(elements)
        level = first.level if isinstance(first, Heading) else 1
        title = first.text if isinstance(first, Heading) else name
        yield Procedure(name=name, title=title, alert=alert), level, elements[start:end]


def _kebab(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", text)
    plain = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:63].strip("-")
    return plain or "page"


@dataclass(kw_only=True, slots=True)
class _Drafting:
    """
    Drafts one procedure. `values` are expressions by the names that the page has given a value; `computed` are parameters to which it
    gives one itself, so that the alert's label is another one; `lists` are expressions by what earlier looks have listed. `most` are
    the commands that it may have. `apart` is True after the text of an alternative: a person's next step is one of its own. So is that
    of a numbered item behind such a step, which is `conditional`.
    """

    procedure: Procedure
    own: int
    most: int
    values: dict[str, str] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=dict)
    lead: str = ""
    ids: dict[str, int] = field(default_factory=dict)
    group: Group = field(default_factory=lambda: Group(name="", role=Role.TEXT, line=1))
    balancer: str = ""
    forwards: dict[str, str] = field(default_factory=dict)
    computed: set[str] = field(default_factory=set)
    lists: dict[Listed, str] = field(default_factory=dict)
    began: int = 0
    apart: bool = False
    conditional: bool = False

    def draft(self, elements: Sequence[Element]) -> Procedure:
        """Read the elements in order."""
        for element, following in zip_longest(elements, elements[1:]):
            match element:
                case Heading():
                    self._heading(element)
                case Passage():
                    introduces = element.text.endswith((":", "：")) or (
                        isinstance(following, Code) and bool(statements(following))
                    )
                    for part in _parts_of(element):
                        self._passage(part, introduces=introduces)
                case Code():
                    self._code(element, self.lead)
        self._keep()
        return self.procedure

    def _heading(self, heading: Heading) -> None:
        self._keep()
        name = _NUMBERED.sub("", heading.text)
        above = next(
            (self.roles[level] for level in sorted(self.roles, reverse=True) if level < heading.level), Role.TEXT
        )
        self.roles = {level: role for level, role in self.roles.items() if level < heading.level}
        below = heading.level > self.own
        own = role_of(name) or role_of(heading.text) if below else None
        role = above if above is Role.ROLLBACK or own is None else own
        self.roles[heading.level] = role
        self.group = Group(
            name=name if below else "",
            role=role,
            line=heading.line,
            question=name if alternative(name) and below else "",
        )
        self.lead = ""

    def _keep(self) -> None:
        if self.group.steps or self.group.texts:
            self.procedure.groups.append(self.group)

    def _passage(self, passage: Passage, *, introduces: bool) -> None:
        label, value = labelled(passage.text)
        if label is not Label.EXPECTED:
            self.began = passage.line
        match label:
            case Label.ID:
                return
            case Label.SERVICE if not self.procedure.service and re.fullmatch(r"[a-z0-9][-a-z0-9]*", value):
                self.procedure.service = value
                return
            case Label.EXPECTED if self.group.steps:
                self._expect(value)
                return
            case Label.TRIGGER if self.group.role is Role.ROLLBACK and (after := duration_in(value)):
                self.procedure.after = after
                return
        self.apart |= alternative(passage.text) or (passage.marker is Marker.NUMBER and self.conditional)
        found = [(code, [] if forbidden(passage.text, code.text) else statements(code)) for code in passage.codes]
        any_command = any(each for _, each in found)
        name = self._sentence(passage, found) or (self.lead if any_command else "")
        lead = name if label is not Label.COMMAND else ""
        for _, each in found:
            if each:
                self._statements(each, lead, inside=True)
        if not any_command:
            if passage.marker is Marker.NUMBER and self.group.role in _DONE_BY_A_PERSON and not introduces:
                self._add_person(passage.text, [], passage.line)
            else:
                self._text(passage)
        self.lead = name if not (any_command or passage.aside) else ""

    def _text(self, passage: Passage) -> None:
        """Keep a text without a command: the name of a service in a list by priority, an item, or a sentence."""
        if passage.marker is not Marker.NONE:
            self.group.items.append(passage.text)
            if by_priority(self.group.name) and re.fullmatch(r"[a-z0-9][-a-z0-9]*", passage.text):
                self.procedure.order.append(passage.text)
        self.group.texts.append(passage.text)

    def _sentence(self, passage: Passage, found: Sequence[tuple[Code, Sequence[Statement]]]) -> str:
        text = passage.text
        for code, each in found:
            if each:
                text = text.replace(" ".join(code.text.split()), "")
        return _EMPTY_CELL.sub(" | ", text).strip(_AROUND)

    def _code(self, code: Code, lead: str) -> None:
        self.began = code.line
        found = statements(code)
        if not found:
            text = code.text.rstrip("\n")
            if code.language in _QUERIES or (code.language in _FILES and self.group.role in _DONE_BY_A_PERSON):
                self._add_person(lead, [CommandDraft(text=text, line=code.line, handling=Handling.PERSON)], code.line)
            else:
                self.group.texts.append(text)
            return
        self._statements(found, lead, inside=False)
        if self.group.texts and lead and any(step.name == lead for step in self.group.steps):
            self.group.texts = [text for text in self.group.texts if text.strip(_AROUND) != lead]

    def _statements(self, found: Sequence[Statement], lead: str, *, inside: bool) -> None:
        if len(self.procedure.commands) + len(found) > self.most:
            raise TooManyCommands
        entered = False
        for at, each in enumerate(found):
            reading = self._read(each)
            if entered and not _of_the_cluster(each):
                reading = Reading(handling=Handling.PERSON, reason="it belongs to the shell that was entered before")
            entered |= reading.handling is Handling.PERSON and enters(each)
            self._statement(each, reading, each.comment or (lead if at == 0 or inside else ""), neighbour=at > 0)

    def _read(self, statement: Statement) -> Reading:
        """Decide about a command; the looks within it become steps before it, where it can go on with what they find."""
        forwarded = self._forwarded(statement)
        if len(statement.inner) == 1 and not statement.body and lists_several(statement.inner[0]):
            one = replace(forwarded, inner=(), filters=())
            forwarded = replace(forwarded, variable=statement.inner[0].variable, body=(one,))
        read = self._loop if forwarded.body else read_statement
        looks = [(each, read_statement(each, self.values), field_of(each)) for each in statement.inner]
        if not all(look.handling is Handling.RUN and not look.changes and field for _, look, field in looks):
            return Reading(handling=Handling.PERSON, reason="only a shell can do it")
        trial = read(forwarded, {**self.values, **{each.variable: f"steps.look.{field}" for each, _, field in looks}})
        if not looks or trial.handling is not Handling.RUN:
            return trial
        for each, look, _ in looks:
            listed = CommandDraft(text=each.text, line=each.line, handling=Handling.RUN)
            self._add_run(each, look, textwrap.shorten(each.command, _MOST_NAME, placeholder=" …"), listed)
        return read(forwarded, self.values)

    def _statement(self, statement: Statement, reading: Reading, lead: str, *, neighbour: bool) -> None:
        if self.group.role is not Role.ROLLBACK and _TO_ZERO.search(reading.run):
            reading = Reading(handling=Handling.PERSON, reason="a recovery never lowers the replicas")
        command = CommandDraft(
            text=statement.text, line=statement.line, handling=reading.handling, reason=reading.reason
        )
        self.procedure.commands.append(command)
        if open_value := _OPEN.fullmatch(statement.value):
            self.values[statement.variable] = f"params.{parameter_name(open_value[1])}"
        elif statement.variable:
            self.computed.add(parameter_name(statement.variable))
        if reading.handling is Handling.LEFT_OUT:
            if statement.value and not open_value and "<" not in statement.value:
                known = self._parameter(parameter_name(statement.variable), "")
                known.default = statement.value
            return
        if reading.handling is Handling.PERSON:
            self._add_person(lead, [command], statement.line, merge=neighbour)
            return
        self._add_run(statement, reading, lead, command)

    def _forwarded(self, statement: Statement) -> Statement:
        """Send a request to the Service whose port an earlier command has forwarded; keep what this command forwards."""
        if not statement.whole:  # nor is it read
            return statement
        if (found := _FORWARD.search(statement.command)) is not None:
            host = f"{found[1]}.{namespace_of(statement.command) or '${service.namespace}'}"
            self.forwards[found[2]] = f"{host}:{found[3]}"
        command = statement.command
        for port, host in self.forwards.items():
            for here in (f"localhost:{port}", f"127.0.0.1:{port}"):
                command = command.replace(f"{here}/", f"{host}/")
        return replace(statement, command=command)

    def _loop(self, statement: Statement, values: Mapping[str, str]) -> Reading:
        """Read a loop with one command in it, over words or over what a look lists."""
        over = ", ".join(f'"{each}"' for each in statement.items)
        items, each = f"[{over}]", "each"
        if statement.inner:
            items, first, field = values[statement.inner[0].variable].partition("[0]")
            each += "" if field == ".metadata.name" else field
            if not first:
                return Reading(handling=Handling.PERSON, reason="only a shell can do it")
        known = {**values, statement.variable: each}
        found = [read_statement(each, known) for each in statement.body]
        run = [each for each in found if each.handling is not Handling.LEFT_OUT]
        if len(run) != 1:
            return Reading(handling=Handling.PERSON, reason="it is a loop over several commands")
        if run[0].handling is not Handling.RUN or run[0].for_each:
            return Reading(handling=Handling.PERSON, reason=run[0].reason or "it is a loop")
        return replace(run[0], for_each=items)

    def _add_run(self, statement: Statement, reading: Reading, lead: str, command: CommandDraft) -> None:
        name = shortened(lead) or self._unnamed(statement, reading)
        reading = self._bound(reading)
        step = StepDraft(
            id=self._id(name, reading.run), name=name, line=statement.line, reading=reading, source=[command]
        )
        step.question = lead or name
        for parameter, kind in reading.parameters.items():
            known = self._parameter(parameter, kind)
            known.label = known.label or self._label(parameter, one_of(reading.run, parameter))
        if statement.variable and (read := field_of(statement)):
            self.values[statement.variable] = f"steps.{step.id}.{read}"
            self.procedure.found.add(parameter_name(statement.variable))
        if not reading.for_each and is_selective(statement) and (listed := listed_by(reading.run)) is not None:
            self.lists[listed] = f"steps.{step.id}.{items_of(statement)}"
        if re.match(r"kubectl get (svc|services?)[ /]", reading.run):
            self.balancer = step.id
        self.group.steps.append(step)
        self.apart = False

    def _unnamed(self, statement: Statement, reading: Reading) -> str:
        if self.group.name and not self.group.steps:
            return shortened(self.group.name)
        whole = bool(statement.inner or (reading.finds and statement.filters))
        return textwrap.shorten(statement.text if whole else statement.command, _MOST_NAME, placeholder=" …")

    def _bound(self, reading: Reading) -> Reading:
        """Return the command with what the page means by its words: unhealthy pods, a balancer's address, a pod of the service."""
        if not reading.parameters and re.match(r"kubectl (?:logs|exec) ", reading.run):
            own, dashes, rest = reading.run.partition(" -- ")
            return replace(reading, run=_SOME_POD.sub("${service.workload}", own, count=1) + dashes + rest)
        for name in reading.parameters:
            left = {each: kind for each, kind in reading.parameters.items() if each != name}
            if unhealthy_pod(name) and reading.changes and not reading.for_each and not left:
                run = reading.run.replace(f"${{params.{name}}}", "${each}")
                return replace(reading, run=run, parameters=left, for_each="service.pods")
            if external_address(name) and self.balancer:
                run = reading.run.replace(f"${{params.{name}}}", f"${{steps.{self.balancer}.item.address}}")
                return replace(reading, run=run, parameters=left)
            listed = one_of(reading.run, name)
            if listed in self.lists and not (reading.changes or reading.for_each or self._label(name, listed)):
                self.procedure.found.add(name)
                run = reading.run.replace(f"${{params.{name}}}", "${each}")
                return replace(reading, run=run, parameters=left, for_each=self.lists[listed])
        return reading

    def _label(self, parameter: str, place: Listed | None) -> str:
        """Return the label of an alert that a parameter means at its place, "" where the page itself gives the value."""
        return "" if parameter in self.computed else label_of(parameter, place.kind.singular if place else "")

    def _add_person(self, text: str, commands: list[CommandDraft], line: int, *, merge: bool = False) -> None:
        """Add a step for a person, or let the person's step before it go on with this: a person is asked once for what follows."""
        last = self.group.steps[-1] if self.group.steps else None
        apart, self.apart = self.apart, False
        if last is not None and last.reading is None and (merge or not (apart and (commands or last.command))):
            last.go_on(text, commands)
            return
        self.conditional = apart
        text = text or self.group.name
        name = shortened(text or (commands[0].text if commands else ""))
        said = "\n".join(each.text for each in commands)
        self.group.steps.append(
            StepDraft(
                id=self._id(name, ""), name=name, line=line, text=text or name, command=said, source=list(commands)
            )
        )

    def _expect(self, expected: str) -> None:
        """Let the nearest look of the section whose result this phrase is about expect it."""
        nearest = self.group.steps[-_MOST_ASKED:]
        for step in reversed(nearest):
            if step.reading is not None and not step.reading.changes and not step.expect:
                step.expect = expectation(step.reading.run, expected)
            if step.expect or step.line < self.began:
                break
        if not any(step.expect for step in nearest if step.line >= self.began):
            self.group.steps[-1].expected = expected

    def _parameter(self, name: str, kind: str) -> ParameterDraft:
        known = self.procedure.parameters.setdefault(name, ParameterDraft())
        known.type = narrower(known.type, kind)
        return known

    def _id(self, name: str, run: str) -> str:
        words = re.findall(r"[a-z0-9]+", name.lower())[:5] if name.isascii() else re.findall(r"[a-z]+", run)[:3]
        plain = "_".join(words)[:50].strip("_") or "manual"
        plain = plain if plain[0].isalpha() else f"step_{plain}"
        chosen = plain
        while chosen in self.ids:
            self.ids[plain] += 1
            chosen = f"{plain}_{self.ids[plain]}"
        self.ids[chosen] = 1
        return chosen


def _parts_of(passage: Passage) -> Iterator[Passage]:
    """Split a passage where a line begins with a known label; other lines are one sentence."""
    first = passage.line
    lines: list[str] = []
    for number, line in enumerate(passage.text.split("\n"), start=passage.line):
        if lines and labelled(line)[0] is not None:
            yield _part(passage, lines, first)
            first, lines = number, []
        lines.append(line)
    yield _part(passage, lines, first)


def _part(passage: Passage, lines: Sequence[str], first: int) -> Passage:
    is_whole = len(lines) > passage.text.count("\n")
    codes = tuple(code for code in passage.codes if is_whole or first <= code.line < first + len(lines))
    return replace(passage, text=" ".join(" ".join(lines).split()), line=first, codes=codes)


def shortened(text: str) -> str:
    """Return a name of a text: a long one's last sentence, which is nearest to the command."""
    if len(text) > _MOST_NAME:
        text = re.split(r"(?<=[.!?])\s+|(?<=。)(?=\S)", text)[-1]
    return textwrap.shorten(text, _MOST_NAME, placeholder=" …")


def _of_the_cluster(statement: Statement) -> bool:
    return statement.words[:1] in (["kubectl"], ["oc"])


def shares(procedure: Procedure) -> Mapping[Handling, int]:
    """Count the commands of a procedure by what becomes of them."""
    return {handling: sum(each.handling is handling for each in procedure.commands) for handling in Handling}
