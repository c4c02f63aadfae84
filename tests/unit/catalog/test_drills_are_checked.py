"""A drill that would touch anything live, or prove nothing, is refused when the files are loaded."""

import pytest

from tests.unit.catalog.documents import RUNBOOK, SERVICE, loaded, runbook, said

CHECKED = """\
  checks:
    integrity:
      - {id: rows, run: "kubectl exec deployment/web -- psql -d app -c 'SELECT 1'", expect: value == 1}
"""
DRILLED = f"{SERVICE}{CHECKED}  parameters: {{database: app}}\n  drill: {{runbook: try, schedule: '0 4 * * 0'}}\n"
MORE = "parameters: {database: {type: name}}\n"
RESTORE = "pg_restore -e -1 -h localhost -U postgres -d kintsugi_drill_${incident.id} /backups/a.dump"
ON_THE_LIVE_SERVER = RESTORE.replace("localhost", "database")


def drill(steps: str = f"- {{id: restore, run: '{RESTORE}'}}", *, more: str = MORE) -> str:
    """Write the runbook of a drill."""
    return runbook(steps, more=more, name="try")


def test_a_right_drill_is_loaded_with_its_schedule() -> None:
    """And the shipped name of the runbook is the default."""
    terms = loaded(DRILLED, RUNBOOK, drill()).services["web"].drill
    assert terms is not None
    assert (terms.runbook, terms.schedule) == ("try", "0 4 * * 0")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ("- {id: restart, run: kubectl rollout restart deployment/web}", "a drill changes nothing live"),
        ("- {id: kill, run: kubectl delete pod web-1}", "a drill changes nothing live"),
        ("- {id: inside, steps: [{id: scale, run: kubectl scale deployment/web --replicas=0}]}", "nothing live"),
        ("- {id: live, run: 'pg_restore -e -1 -h database -U postgres -d app /backups/a.dump'}", "a scratch database"),
        (
            "- {id: live, run: 'pg_restore -e -1 -h database -U postgres -d ${params.database} /backups/a.dump'}",
            "a scratch database",
        ),
        (f"- {{id: live, run: '{ON_THE_LIVE_SERVER}'}}", "a server of its own, which ends with its Job"),
        (
            "- {id: live, run: 'pg_restore -e -1 -h localhost -U postgres -d app /backups/a.dump'}",
            "kintsugi_drill_NAME",
        ),
        ("- {id: others, runbook: mend}", "runs no other runbook"),
        ("- {id: ask, approve: May it?}", "a drill never asks for approval"),
    ],
)
def test_a_runbook_of_drills_may_change_nothing_live(steps: str, says: str) -> None:
    """P7, P10: whatever its author meant."""
    assert any(says in problem for problem in said(DRILLED, RUNBOOK, drill(steps))), said(
        DRILLED, RUNBOOK, drill(steps)
    )


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (DRILLED.replace("0 4 * * 0", "0 99 * * 0"), "bad hour"),
        (DRILLED.replace("runbook: try", "runbook: tri"), "there is no runbook 'tri'"),
        (DRILLED.replace("-d app", "-d crm"), "write one that asks app"),
        (DRILLED.replace(CHECKED, ""), "write one that asks app"),
        (DRILLED.replace("parameters: {database: app}", "parameters: {}"), "runbook try needs database"),
    ],
)
def test_a_service_whose_drill_would_prove_nothing_is_told(service: str, says: str) -> None:
    """With what would be right."""
    assert any(says in problem for problem in said(service, RUNBOOK, drill())), said(service, RUNBOOK, drill())


def test_a_runbook_that_is_nobodys_drill_may_do_what_it_likes() -> None:
    """The rules are for what is run as a drill."""
    assert (
        said(SERVICE, RUNBOOK, runbook("- {id: restart, run: kubectl rollout restart deployment/web}", name="try"))
        == []
    )
