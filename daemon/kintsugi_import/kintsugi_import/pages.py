"""Makes the runbooks by which the daemon reads a page for an alert: what only reads stays, all else becomes a step for a person."""

from collections.abc import Iterator, Mapping

from kintsugi.catalog.pages import PageDocument
from kintsugi.commands.registry import definitions_by_verb
from kintsugi.errors import UsageError
from kintsugi_import.document import leave_to_person, runbooks
from kintsugi_import.draft import Group, Procedure, StepDraft, TooManyCommands, procedures
from kintsugi_import.html import is_html, read_html
from kintsugi_import.page import read_page
from kintsugi_import.reading import verb_of
from kintsugi_import.results import kinds_of
from kintsugi_import.words import Role
from kubeobjects.resources import SECRETS

MOST_COMMANDS = 500
"""Of a page: to write ten thousand as steps takes half a minute."""


def read(text: str, stem: str, annotations: Mapping[str, str]) -> Iterator[PageDocument]:
    """
    Yield a document for each procedure of a page that has steps. `stem` is the page's name.

    Raises UsageError for a page with too many commands, CatalogErrors.
    """
    try:
        found = procedures(read_html(text) if is_html(text) else read_page(text), stem, MOST_COMMANDS)
    except TooManyCommands as error:
        raise UsageError(f"it has more than {MOST_COMMANDS} commands") from error
    for procedure in found:
        alerts = (procedure.alert,) if procedure.alert or len(found) > 1 else (stem, procedure.title)
        _read_only(procedure)
        documents, _ = runbooks([procedure], annotations, [], frozenset())
        for name, document in documents.items():
            yield PageDocument(name=name, alerts=tuple(filter(None, alerts)), text=document)


def _read_only(procedure: Procedure) -> None:
    procedure.alert = procedure.after = ""
    for group in procedure.groups:
        group.question = ""
        for step in group.steps:
            if step.reading is not None and not _is_probe(step, group):
                leave_to_person(step, "a page of an alert only reads")


def _is_probe(step: StepDraft, group: Group) -> bool:
    reading = step.reading
    if reading is None or reading.changes or reading.for_each or reading.finds or group.role is Role.ROLLBACK:
        return False
    return definitions_by_verb()[verb_of(reading.run)].allowed_in_page and SECRETS not in kinds_of(reading.run)
