"""What a run has restored it asks as the owner of the restored data, with a fixed search path (E9)."""

from datetime import UTC, datetime

import pytest

from kintsugi.commands import encode, parse, render
from kintsugi.model.command import PgRestore
from kintsugi.model.records import Phase, StepRecord, StepState
from kintsugi.runner.restoring import as_owner, restored_databases

IN_POD = "kubectl exec statefulset/database -n production -- psql -U postgres"
FIXED = "options=-csearch_path=pg_catalog,public"


def step(database: str, host: str = "database") -> StepRecord:
    """Make the record of a change that restored a database."""
    command = PgRestore(host=host, user="postgres", database=database, file="/backups/a.dump")
    return StepRecord(
        run="run",
        path=database,
        phase=Phase.FORWARD,
        name="Restore",
        state=StepState.DONE,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        command=encode(command),
        facts={"job": "kintsugi-x-restore", "namespace": "production"},
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


@pytest.mark.parametrize(
    "asked",
    [
        f"{IN_POD} -d kintsugi_drill_x -c 'SELECT 1'",
        "kubectl exec pod/database-0 -n production -c own -- psql -h 10.0.0.7 -p 5433 -d kintsugi_drill_x -c 'SELECT 1'",
        "psql -h database.production -p 5433 -U postgres -d 'dbname=kintsugi_drill_x sslmode=require' -c 'SELECT 1'",
    ],
)
def test_a_database_that_was_restored_into_a_server_of_its_own_is_asked_there(asked: str) -> None:
    """However the question reaches the live server, nothing of a drill's questions does."""
    command = as_owner(parse(asked), restored_databases([step("kintsugi_drill_x", "localhost.production")]))
    assert render(command) == (
        "kubectl exec job/kintsugi-x-restore -n production -c server -- psql -U kintsugi_owner_kintsugi_drill_x"
        f" -d 'dbname=kintsugi_drill_x {FIXED}' -c 'SELECT 1'"
    )
