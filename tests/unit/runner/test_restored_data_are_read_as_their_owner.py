"""What a run has restored it asks as the owner of the restored data, with a fixed search path (E9)."""

from datetime import UTC, datetime

import pytest

from kintsugi.commands import encode, parse, render
from kintsugi.model.command import PgRestore
from kintsugi.model.records import Phase, StepRecord, StepState
from kintsugi.runner.restored import as_owner, restored_databases

IN_POD = "kubectl exec statefulset/database -n production -- psql -U postgres"
FIXED = "options=-csearch_path=pg_catalog,public"


def step(database: str) -> StepRecord:
    """Make the record of a change that restored a database."""
    command = PgRestore(host="database", user="postgres", database=database, file="/backups/a.dump")
    return StepRecord(
        run="run",
        path=database,
        phase=Phase.FORWARD,
        name="Restore",
        state=StepState.DONE,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        command=encode(command),
    )


@pytest.mark.parametrize(
    ("asked", "turned"),
    [
        (
            f"{IN_POD} -d app -c 'SELECT 1'",
            (
                "kubectl exec statefulset/database -n production -- "
                f"psql -U kintsugi_owner_app -d 'dbname=app {FIXED}' -c 'SELECT 1'"
            ),
        ),
        (
            "psql -h database.production -U postgres -d app -c 'SELECT 1'",
            f"psql -h database.production -U kintsugi_owner_app -d 'dbname=app {FIXED}' -c 'SELECT 1'",
        ),
        (
            "psql -h database.production -U app -c 'SELECT 1'",
            f"psql -h database.production -U kintsugi_owner_app -d 'dbname=app {FIXED}' -c 'SELECT 1'",
        ),
    ],
)
def test_a_question_to_what_was_restored_is_its_owner_s(asked: str, turned: str) -> None:
    """In a container or directly, and where the user's name stands for the database's; written out it reads back."""
    command = as_owner(parse(asked), restored_databases([step("app")]))
    assert render(command) == turned
    assert parse(render(command)) == command


@pytest.mark.parametrize(
    "asked",
    [f"{IN_POD} -d crm -c 'SELECT 1'", f"{IN_POD} -c 'SELECT 1'", "kubectl get pods -n production"],
)
def test_any_other_question_stays_as_it_is(asked: str) -> None:
    """The server's own database holds nothing that was restored."""
    command = parse(asked)
    assert as_owner(command, restored_databases([step("app")])) is command
    assert as_owner(parse(f"{IN_POD} -d app -c 'SELECT 1'"), restored_databases([])) == parse(
        f"{IN_POD} -d app -c 'SELECT 1'"
    )
