"""What people hear of a restore: to which moment, how much is lost, what is there, what was passed over."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from kintsugi.model.records import StepRecord, StepState
from kintsugi.runner.journal import storable
from kintsugi.runner.report import restore_summary
from tests.unit.factories import NOW


def left(path: str, **own: object) -> StepRecord:
    """Make a step that came to something, as the ledger keeps it."""
    return StepRecord(run="run-1", path=path, state=StepState.DONE, met=True, result=storable(own))


def backup(taken: datetime = NOW - timedelta(minutes=47), *skipped: Mapping[str, str]) -> StepRecord:
    """Make the step that fetched the backup."""
    return left("restore/newest", backup={"url": "s3://b/app.dump", "taken": taken, "skipped": list(skipped)})


def restored(*tables: tuple[str, int]) -> StepRecord:
    """Make the step that restored it."""
    found = [{"name": name, "rows": rows} for name, rows in tables]
    return left("restore/restore", restored={"database": "app", "tables": found})


def test_the_account_says_the_moment_the_loss_the_rows_and_the_skipped_backups() -> None:
    bad = {"url": "s3://b/later.dump", "reason": "it is truncated"}
    steps = [backup(NOW - timedelta(minutes=47), bad), restored(("public.orders", 1000), ("public.items", 20))]
    assert restore_summary(steps, NOW) == (
        "restored to 2026-05-04 11:13:00 UTC, 47m before the failure; public.orders 1000 rows, public.items 20 rows; "
        "skipped s3://b/later.dump (it is truncated)"
    )


def test_a_backup_that_is_newer_than_the_failure_is_told_as_such() -> None:
    """An alert may have come before the data were lost."""
    assert "2m after the failure" in restore_summary([backup(NOW + timedelta(minutes=2)), restored(("t", 1))], NOW)


def test_many_tables_are_told_up_to_a_number() -> None:
    said = restore_summary([backup(), restored(*((f"t{number}", 1) for number in range(25)))], NOW)
    assert "t19 1 rows, and 5 more tables" in said
    assert "t20" not in said


def test_the_account_is_empty_where_no_database_was_restored() -> None:
    """A backup that was only fetched is none."""
    assert restore_summary([backup()], NOW) == ""
