"""Turns what a page says about whole services into runs of runbooks: services by priority, and restores of a database."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from kintsugi.catalog import CatalogErrors, Source, load_sources
from kintsugi_import.draft import Group, Procedure, StepDraft
from kintsugi_import.reading import Handling, in_all_namespaces
from kintsugi_import.words import Role, mentions, recovers

RESTORE = "database-restore"
"""The shipped runbook that restores a database whole, and asks a person before it changes anything."""

ANY_SERVICE = "workload-recovery"
"""The shipped runbook for a service that the page has no procedure for."""

_AS_LONG_AS_A_RESTORE, _AS_LONG_AS_SEVERAL = "6h", "8h"
"""The deadlines of the shipped runbooks database-recovery and full-stack-recovery: a child may not take longer than its parent."""

_CALL = f"""\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: call}}
spec: {{title: Restore, steps: [{{id: restore, runbook: {RESTORE}}}]}}
""".encode()
_BACKUPS = re.compile(r"\bs3://\S+")
_RESTORES = re.compile(r"pg_restore\s(?!(?:.*\s)?(?:-l|--list)\b)(?:.*\s)?(?:-d|--dbname)\b")


def recover_services(procedure: Procedure, siblings: Sequence[Procedure]) -> None:
    """Let the phases of a procedure with an order of services recover these services, each by the page's own procedure."""
    own = {each.service: each.name for each in siblings if each.service}
    phases = [each for each in procedure.groups if each.items and each.role not in (Role.TEXT, Role.ESCALATION)]
    left = list(procedure.order)
    procedure.after = procedure.after or (_AS_LONG_AS_SEVERAL if left else "")
    for step in procedure.steps if left else ():
        step.reading = in_all_namespaces(step.reading) if step.reading is not None else None
    for phase in phases if left else ():
        mine = [name for name in left if any(_is_about(item, name) for item in phase.items)]
        left = [name for name in left if name not in mine]
        last = not any(_is_about(item, name) for name in left for later in phases for item in later.items)
        mine, left = (mine + left, []) if mine and last else (mine, left)
        phase.steps = [_recovery(name, own) for name in mine] + phase.steps
        _hand_over(phase, [item for item in phase.items if not any(_is_about(item, name) for name in mine)])


def _is_about(item: str, service: str) -> bool:
    return recovers(item) and mentions(item, service)


def _recovery(service: str, own: Mapping[str, str]) -> StepDraft:
    plain = service.replace("-", "_")
    text = f"Recover {service}"
    asked = "" if service in own else text
    runbook = own.get(service, ANY_SERVICE)
    return StepDraft(
        id=f"recover_{plain}", name=text, line=0, text=text, question=asked, service=service, runbook=runbook
    )


def _hand_over(phase: Group, items: Sequence[str]) -> None:
    """Ask a person for what a phase says besides."""
    phase.texts = [text for text in phase.texts if text not in phase.items]
    if items:
        number = re.sub(r"\W+", "_", phase.name.lower()) if phase.name.isascii() else str(phase.line)
        phase.steps.append(StepDraft(id=f"phase_{number}", name=phase.name, line=phase.line, text="\n".join(items)))


def restoring(procedure: Procedure) -> Sequence[Group]:
    """Return the groups of a procedure that restore a database, none where the page names no backup in S3."""
    if not _backup_of(procedure):
        return ()
    return [
        group
        for group in procedure.groups
        if any(_RESTORES.match(command.text) for step in group.steps for command in step.source)
    ]


def can_restore(others: Sequence[Source]) -> bool:
    """Return whether the shipped runbook loads with these documents: one of their services must have its checks."""
    try:
        load_sources([*others, Source(name="call.yaml", content=_CALL)])
    except CatalogErrors as errors:
        return not any(PurePath(each.file).stem == RESTORE for each in errors.problems)
    return True


def restore_by_runbook(procedure: Procedure) -> None:
    """Let the shipped runbook do what a section says about a restore from S3: what stands there is half of it."""
    for group in restoring(procedure):
        commands = [command for step in group.steps for command in step.source]
        for command in commands:
            command.handling, command.reason = Handling.RUN, ""
        said = [step.text or step.name for step in group.steps]
        group.texts += [f"{RESTORE} does the following, and asks a person before it changes anything.", *said]
        name = group.name or procedure.title
        taken = any(step.id == "restore" for step in procedure.steps)
        own = f"restore_{group.line}" if taken else "restore"
        step = StepDraft(id=own, name=name, line=group.line, text="\n".join([name, *said]), runbook=RESTORE)
        step.question, step.source = f"{name}: {_backup_of(procedure)}", commands
        group.steps, group.question = [step], ""
        procedure.after = procedure.after or _AS_LONG_AS_A_RESTORE


def _backup_of(procedure: Procedure) -> str:
    texts = (text for group in procedure.groups for text in group.texts)
    return next((found[0] for text in texts if (found := _BACKUPS.search(text))), "")
