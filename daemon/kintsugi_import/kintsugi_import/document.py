"""Writes a procedure as a runbook that loads: what the catalog does not take becomes a step for a person."""

import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from kintsugi.catalog import CatalogErrors, Problem, Source, load_sources
from kintsugi.scope.parameters import read_text
from kintsugi_import.draft import Group, Procedure, StepDraft
from kintsugi_import.reading import Handling
from kintsugi_import.words import Role

_FROM_LABELS = frozenset({"name", "string", "integer", "url"})
"""The types of parameters that take the text of a label."""

_RULE = """\
---
# Every service gets this rule: it begins when the alert is about the service. Each change of the runbook asks a person.
"""
_WIDTH = 118
_NOT_PRINTABLE = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML 1.2 has in no document (5.1, c-printable), and what YAML 1.1 takes for ends of lines: a comment cannot escape it."""
_HOLE = re.compile(r"\$\{")
_USED = re.compile(r"\bparams\.([a-z][a-z0-9_]*)")
_AT_STEP = re.compile(r"spec\.(?:rollback\.)?steps\[\d+\](?:\.steps\[\d+\])?")


@dataclass(kw_only=True, slots=True)
class Written:
    """A procedure as YAML, with the path of each step in it."""

    text: str
    places: dict[str, StepDraft] = field(default_factory=dict)


def runbooks(
    found: Sequence[Procedure], page: Mapping[str, str], others: Sequence[Source], services: frozenset[str]
) -> tuple[Mapping[str, str], Sequence[Problem]]:
    """
    Return the documents of procedures by their names, none for one without a step, and the problems of the `others` with them.

    `page` are the annotations that name the page. `others` are the documents that they will load with, `services` the names of their
    services. A step that does not load becomes a person's. Raises CatalogErrors where a document does not load even so.
    """
    while True:
        written = {
            f"{each.name}.yaml": _Writer(procedure=each, page=page, services=services).write()
            for each in found
            if any(True for _ in each.steps)
        }
        sources = [Source(name=name, content=each.text.encode()) for name, each in written.items()]
        problems: Sequence[Problem] = ()
        try:
            load_sources([*others, *sources]) if sources else None
        except CatalogErrors as errors:
            problems = errors.problems
        own = {f"{each.name}.yaml": each for each in found}
        changed = [_hand_over(own[each.file], written[each.file], each) for each in problems if each.file in written]
        if not any(changed):
            if own_problems := [each for each in problems if each.file in written]:
                raise CatalogErrors(own_problems)
            texts = {each.name: written[name].text for name, each in own.items() if name in written}
            shipped = {each.name for each in others if each.library}
            return texts, [each for each in problems if each.file not in {*written, *shipped}]


def _hand_over(procedure: Procedure, written: Written, problem: Problem) -> bool:
    """Make the steps that have a problem steps for a person. Returns whether there was one."""
    place = _AT_STEP.match(problem.path)
    wrong = [written.places[place[0]]] if place and place[0] in written.places else []
    if found := re.match(r"spec\.parameters\.([a-z0-9_]+)", problem.path):
        wrong = [each for each in procedure.steps if each.reading and found[1] in _USED.findall(each.reading.run)]
    wrong = [each for each in wrong if each.reading is not None or each.runbook]
    for step in wrong:
        leave_to_person(step, problem.message)
    return bool(wrong)


def leave_to_person(step: StepDraft, reason: str) -> None:
    """Make a step one for a person, with the exact text of its commands."""
    step.reading, step.runbook, step.text, step.expect = None, "", step.text or step.name, ""
    for command in step.source:
        command.handling, command.reason = Handling.PERSON, reason
    step.command = "\n".join(command.text for command in step.source)


@dataclass(kw_only=True, slots=True)
class _Writer:
    """Writes one procedure."""

    procedure: Procedure
    page: Mapping[str, str]
    services: frozenset[str]
    places: dict[str, StepDraft] = field(default_factory=dict)

    def write(self) -> Written:
        """Write it."""
        back = [group for group in self.procedure.groups if group.role is Role.ROLLBACK and group.steps]
        forward = [group for group in self.procedure.groups if group not in back]
        if not any(group.steps for group in forward):  # a page that only rolls back
            forward, back = self.procedure.groups, []
        steps = "".join(self._groups(forward, "spec.steps"))
        undo = "".join(self._groups(back, "spec.rollback.steps"))
        head = {
            "apiVersion": "kintsugi.dev/v1alpha1",
            "kind": "Runbook",
            "metadata": {"name": self.procedure.name, "annotations": dict(self.page)},
        }
        spec: dict[str, object] = {"title": self.procedure.title}
        service = self.procedure.service
        if service in self.services:
            spec["service"] = service
        elif service:
            steps = f"# The page is about the service {service}.\n\n{steps}"
        used = set(_USED.findall(steps + undo))
        parameters = {name: self._parameter(name) for name in self.procedure.parameters if name in used}
        if parameters:
            spec["parameters"] = parameters
        text = _dump(head) + "spec:\n" + _indented(_dump(spec), 2) + "  steps:\n" + _indented(steps, 4)
        after = {"after": self.procedure.after} if self.procedure.after else {}
        if undo or after:
            text += "  rollback:\n" + _indented(_dump(after) if after else "", 4)
            text += "    steps:\n" + _indented(undo, 6) if undo else ""
        text = re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"
        text = _NOT_PRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
        has_values = all("from" in each or "default" in each for each in parameters.values())
        return Written(text=text + (self._rule() if has_values else ""), places=self.places)

    def _rule(self) -> str:
        """Write the rule by which the page's alert starts the runbook, "" where the page is of no alert."""
        if not self.procedure.alert:
            return ""
        name = self.procedure.name
        matchers = [f'alertname="{self.procedure.alert}"']
        spec = {"on": "alert", "matchers": matchers, "runbook": name, "mode": "auto"}
        document = {
            "apiVersion": "kintsugi.dev/v1alpha1",
            "kind": "RuleTemplate",
            "metadata": {"name": name},
            "spec": spec,
        }
        return _RULE + _dump(document)

    def _parameter(self, name: str) -> Mapping[str, object]:
        known = self.procedure.parameters[name]
        made: dict[str, object] = {"type": known.type or "string"}
        if known.label and made["type"] in _FROM_LABELS:
            made["from"] = f"alert.labels.{known.label}"
        if known.default:
            try:
                made["default"] = read_text(str(made["type"]), known.default, 1.0)
                made["default"] = (
                    known.default if made["type"] in ("duration", "string", "name", "url") else made["default"]
                )
            except ValueError:
                made.pop("default", None)
        return made

    def _groups(self, groups: Sequence[Group], path: str) -> Iterator[str]:
        at = 0
        for group in groups:
            comment = _comment(group.texts)
            if not group.steps:
                yield comment and f"# {group.name}:\n{comment}\n"
                continue
            if len(group.steps) == 1:
                yield comment
                for text in self._steps(group.steps, path, at, group):
                    yield text
                    at += 1
                continue
            self._place_inner(group, f"{path}[{at}]")
            inner = "".join(self._steps(group.steps, f"{path}[{at}].steps", 0, None))
            made: dict[str, object] = {
                "id": _group_id(group, self.procedure),
                "name": group.name or self.procedure.title,
            }
            if group.question and any(step.reading is None or step.reading.changes for step in group.steps):
                made["approve"] = {"question": _literal(group.question), "onNo": "skip"}
            yield comment + _item(_dump(made) + "steps:\n" + _indented(inner, 2))
            at += 1

    def _place_inner(self, group: Group, path: str) -> None:
        """A group has no place of its own: what is wrong with it is wrong with its first step."""
        self.places[path] = group.steps[0]

    def _steps(self, steps: Sequence[StepDraft], path: str, at: int, group: Group | None) -> Iterator[str]:
        for step in steps:
            if step.reading is not None and step.reading.finds:
                found = f"{step.id}_found"
                look = {"id": found, "name": f"Find: {step.name}", "run": step.reading.finds, "onFailure": "continue"}
                self.places[f"{path}[{at}]"] = step
                yield _item(_dump(look))
                at += 1
            self.places[f"{path}[{at}]"] = step
            yield self._step(step, group)
            at += 1

    def _step(self, step: StepDraft, group: Group | None) -> str:
        made: dict[str, object] = {"id": step.id, "name": step.name}
        reading = step.reading
        if step.runbook:
            return _with_runbook(step, made)
        if reading is None:
            text = (step.text or step.name) + (f"\nExpected: {step.expected}" if step.expected else "")
            manual: dict[str, object] = {"text": _text(_literal(text))}
            if step.command:
                manual["command"] = _text(_literal(step.command))
            made["manual"] = manual
            return _comment([f"{each.text}: {each.reason}" for each in step.source if each.reason]) + _item(_dump(made))
        if reading.for_each:
            made["forEach"] = f"steps.{step.id}_found.{reading.for_each}" if reading.finds else reading.for_each
        if reading.for_each == "service.pods":
            made["when"] = "each.unhealthy"
        if reading.changes:
            question = group.question if group is not None and group.question else step.question
            without = ", ".join(each for each in reading.notes if each.startswith("without -"))
            made["approve"] = {"question": _literal(question) + (f" ({without})" if without else ""), "onNo": "skip"}
        made["run"] = reading.run
        if step.expect:
            made["expect"] = step.expect
        if not reading.changes:
            made["onFailure"] = "continue"
        said = [*reading.notes, *([f"expected: {step.expected}"] if step.expected and not step.expect else [])]
        return _comment(said) + _item(_dump(made))


def _with_runbook(step: StepDraft, made: dict[str, object]) -> str:
    if step.service:
        made |= {"unless": f"services.{step.service.replace('-', '_')}.healthy", "service": step.service}
    if step.question:
        made["approve"] = {"question": _literal(step.question), "onNo": "skip"}
    return _item(_dump({**made, "runbook": step.runbook}))


def _group_id(group: Group, procedure: Procedure) -> str:
    number = procedure.groups.index(group) + 1
    words = re.findall(r"[a-z0-9]+", group.name.lower())[:4] if group.name.isascii() else []
    return f"section_{number}" + "".join(f"_{word}" for word in words)[:40]


def _literal(text: str) -> str:
    """Escape what would be a value: a page's text is said as it stands."""
    return _HOLE.sub("$${", text)


def _text(text: str) -> str:
    return LiteralScalarString(text) if "\n" in text else text


def _comment(texts: Sequence[str]) -> str:
    lines = [line for text in texts for each in text.split("\n") for line in textwrap.wrap(each, _WIDTH - 10) or [""]]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _item(text: str) -> str:
    return "- " + _indented(text, 2)[2:] + "\n"


def _indented(text: str, by: int) -> str:
    return textwrap.indent(text, " " * by)


def _dump(value: object) -> str:
    yaml = YAML()
    yaml.width = 10_000
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    if value:
        yaml.dump(value, stream)
    return stream.getvalue()
