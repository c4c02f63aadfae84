"""Integrity checks ask the scratch database; nothing of a drill's questions goes to the live one."""

from textwrap import dedent

from kintsugi.commands import render
from kintsugi.decisions.drills import INTEGRITY, retargeted
from kintsugi.model.runbooks import InOrder, Run, Step
from tests.unit.factories import catalog, runbook_text, service_text

SCRATCH = "kintsugi_drill_inc-1"


def checks(text: str) -> tuple[Step, ...]:
    """Load checks."""
    body = "".join(f"    {line}\n" for line in dedent(text).strip().splitlines())
    return (
        catalog(service_text(more=f"checks:\n  {INTEGRITY}:\n{body}"), runbook_text()).services["web"].checks[INTEGRITY]
    )


def asked(step: Step) -> str:
    """Bind a check's command."""
    assert isinstance(step.do, Run)
    return render(step.do.command.bind({}, namespace="production"))


def test_a_question_in_a_container_and_a_direct_one_go_to_the_scratch_database() -> None:
    """With `-d` before or after, as a word or a connection string."""
    steps = checks("""\
        - {id: one, run: "kubectl exec -it statefulset/database -- psql -U postgres -d app -c 'SELECT 1'", expect: value == 1}
        - {id: two, run: "kubectl exec statefulset/database -- psql --dbname=app -c 'SELECT 1'", expect: value == 1}
        - {id: three, run: "psql -h database.production -U postgres -d 'dbname=app sslmode=require' -c 'SELECT 1'", expect: value == 1}
    """)
    found, left_out = retargeted(steps, "app", SCRATCH)
    assert left_out == ()
    assert [asked(step) for step in found] == [
        f"kubectl exec statefulset/database -n production -- psql -U postgres -d {SCRATCH} -c 'SELECT 1'",
        f"kubectl exec statefulset/database -n production -- psql -d {SCRATCH} -c 'SELECT 1'",
        f"psql -h database.production -U postgres -d 'dbname={SCRATCH} sslmode=require' -c 'SELECT 1'",
    ]


def test_a_check_that_asks_another_database_or_none_is_left_out_and_named() -> None:
    """It would say nothing of the backup, and a green check that says nothing is worse than none."""
    steps = checks("""\
        - {id: other, name: Another, run: "kubectl exec statefulset/database -- psql -d crm -c 'SELECT 1'", expect: value == 1}
        - {id: usual, run: "kubectl exec statefulset/database -- psql -U postgres -c 'SELECT 1'", expect: value == 1}
        - {id: pods, run: kubectl get pods, expect: size(items) > 0}
        - {id: waits, expect: service.ready > 0}
    """)
    assert retargeted(steps, "app", SCRATCH) == ((), ("Another", "usual", "pods", "waits"))


def test_steps_inside_others_are_turned_too() -> None:
    """A group stays one, without what is left out."""
    steps = checks("""\
        - id: group
          steps:
            - {id: one, run: "kubectl exec statefulset/database -- psql -d app -c 'SELECT 1'", expect: value == 1}
            - {id: two, run: kubectl get pods}
    """)
    ((group,), left_out) = retargeted(steps, "app", SCRATCH)
    assert isinstance(group.do, InOrder)
    assert [asked(step) for step in group.do.steps] == [
        f"kubectl exec statefulset/database -n production -- psql -d {SCRATCH} -c 'SELECT 1'"
    ]
    assert left_out == ("two",)
