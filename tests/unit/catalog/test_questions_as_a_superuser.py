"""P10: a question that would run what somebody else has made as a superuser of the server is warned of."""

import pytest

from kintsugi.catalog.lint import lint
from tests.unit.catalog.documents import loaded

SERVICE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: database}
spec:
  namespace: production
  workload: statefulset/database
  runbook: ask
  checks:
    integrity:
      - id: whole
        parallel:
          - id: orders
            run: kubectl exec statefulset/database -- psql -U postgres -c 'SELECT 1'
            expect: value > 0
"""
RUNBOOK = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: ask}
spec:
  title: Ask
  steps:
    - id: count
      run: kubectl exec ${service.workload} -- psql -U postgres -c 'SELECT 1'
"""
ASKED = "psql -U postgres -c 'SELECT 1'"
FOREIGN = {
    "public.orders": "psql -U postgres -d app -c 'SELECT count(*) FROM public.orders'",
    "shop.amount": "psql -U postgres -d app -c 'SELECT 1::shop.amount'",
    "names in shop": "psql -U postgres -d 'dbname=app options=-csearch_path=shop' -c 'SELECT count(*) FROM orders'",
}


@pytest.mark.parametrize(("what", "asked"), FOREIGN.items())
def test_a_superuser_s_question_to_what_somebody_else_owns_is_warned_of(what: str, asked: str) -> None:
    in_a_check = lint(loaded(SERVICE.replace(ASKED, asked), RUNBOOK))
    in_a_step = lint(loaded(SERVICE, RUNBOOK.replace(ASKED, asked)))
    assert [len(in_a_check), len(in_a_step)] == [1, 1]
    for warning, step in ((in_a_check[0], "orders"), (in_a_step[0], "count")):
        assert f"{step} asks {what} as postgres" in warning
        assert "psql -U ROLE" in warning


@pytest.mark.parametrize(
    "asked",
    [
        *(question.replace("-U postgres", "-U app") for question in FOREIGN.values()),
        "psql -U postgres -d app -c 'SELECT count(*) FROM pg_stat_user_tables'",
        "psql -U postgres -d app -c 'SHOW server_version'",
    ],
)
def test_a_question_as_another_role_or_to_the_server_s_own_catalog_is_not(asked: str) -> None:
    assert lint(loaded(SERVICE.replace(ASKED, asked), RUNBOOK.replace(ASKED, asked))) == []
