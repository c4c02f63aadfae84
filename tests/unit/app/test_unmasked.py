"""No name of the catalog is the value of a secret, and no Event that everybody may read holds one (E4, E27)."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from kintsugi.actions.command_secrets import hide
from kintsugi.actions.effect_plan import PatchWrite
from kintsugi.app.core import spare_names
from kintsugi.app.events import ObjectEvents
from kintsugi.errors import Forbidden
from kintsugi.mask import MASK
from kintsugi.model.records import Reason, Verdict
from kintsugi.telemetry import SECRETS
from kubeobjects.resources import DEPLOYMENTS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.factories import moment, rule_text, run, shop
from tests.unit.pipeline.business import PipelineBench, alert

pytestmark = pytest.mark.looptime


MATCHERS = """\
when: alert.labels.tier == "golden"
matchers: ['team=~"yellow.*"', 'token_type!="refresh"']
"""
JUDGED = rule_text("by-team", on="alert", more=MATCHERS)
"""Judges by labels whose values may be secrets' values, or whose names look like a secret's."""

WORDS = ("production", "web-pods", "web-alerts", "deployment", "mend-it")


@contextmanager
def secrets(*values: str) -> Iterator[None]:
    """Have secrets with these values meanwhile."""
    known, forms = dict(SECRETS._known), SECRETS._forms
    for value in values:
        SECRETS.register(value)
    yield
    SECRETS._known, SECRETS._forms = known, forms


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Have secrets with the values of names for the time of a test."""
    with secrets(*WORDS):
        yield
    SECRETS.spare(())


async def test_a_verdict_is_the_same_whatever_a_password_is() -> None:
    spare_names(PipelineBench().catalog)
    verdict = await PipelineBench().judged(alert())
    assert verdict.text.startswith("rule web-alerts starts mend"), verdict


async def test_a_secret_with_the_value_of_a_name_is_warned_of_and_not_named() -> None:
    with capture_logs() as said:
        spare_names(shop())
    (line,) = [each for each in said if "not masked there" in each["event"]]
    assert line["secrets"] == 2
    assert not any(word in str(line) for word in WORDS)


async def verdict_on(labels: Mapping[str, str], *values: str) -> Verdict:
    """Judge an alert while these are values of secrets."""
    bench = PipelineBench(documents=[JUDGED])
    spare_names(bench.catalog)
    with secrets(*values):
        return await bench.judged(alert(**labels))


VALUES: Mapping[str, Sequence[str]] = {
    "team": ("yellow", "yellow-two", "orange"),
    "token_type": ("refresh", "bearer"),
    "tier": ("golden", "silver"),
}


@pytest.mark.parametrize("values", list(product(*VALUES.values())), ids="-".join)
async def test_a_verdict_is_the_same_with_and_without_a_secret_of_any_word(values: Sequence[str]) -> None:
    labels = dict(zip(VALUES, values, strict=True), alertname="Other")
    without = await verdict_on(labels)
    assert (without.rule == "by-team") == (values[0] != "orange" and values[1:] == ("bearer", "golden"))
    for secret in ("yellow", *values):
        with_it = await verdict_on(labels, secret)
        assert (with_it.kind, with_it.reason, with_it.rule) == (without.kind, without.reason, without.rule), secret


async def test_a_label_that_was_masked_before_a_rule_asked_for_it_matches_nothing() -> None:
    """P6: what was kept masked under an earlier catalog is not known, and no operator holds of it."""
    labels = {"team": "yellow", "tier": "golden", "alertname": "Other"}
    assert (await verdict_on(labels)).rule == "by-team"
    assert (await verdict_on({**labels, "token_type": MASK})).reason is Reason.NO_RULE
    assert (await verdict_on({**labels, "tier": MASK})).reason is Reason.UNANSWERABLE


def test_a_refusal_names_its_object_also_where_a_variable_has_the_object_s_name() -> None:
    spare_names(shop())
    name = "production"
    variables = [{"name": "A", "value": name}, {"name": "B", "value": "hidden-value"}]
    content = [{"op": "replace", "path": "/spec/template/spec/containers/0/env", "value": variables}]
    error = Forbidden(f'namespaces "{name}" is forbidden: B is hidden-value')
    hide(error, PatchWrite(operations=tuple(content)))
    assert str(error) == f'namespaces "{name}" is forbidden: B is {MASK}'


async def test_an_event_masks_what_the_reason_of_a_run_quotes() -> None:
    metadata = SimpleNamespace(name="web", namespace="production", uid="uid-web")
    workload = SimpleNamespace(metadata=metadata)
    service = SimpleNamespace(namespace="production", workload=SimpleNamespace(resource=DEPLOYMENTS, metadata=metadata))
    record = replace(run(), reason="stopped at ask: http://ana:canary@web/ is closed, password: canary")
    view = SimpleNamespace(name="web", service=service, workload=workload)
    kube = ClusterOfDicts()
    views: Any = SimpleNamespace(views={record.service: view})
    written = ObjectEvents(kube, views, clock=moment)
    written.ended(record, ())
    writing = asyncio.create_task(written.run())
    while not kube.writes and not writing.done():
        await asyncio.sleep(0)
    assert not writing.done(), writing.exception()
    writing.cancel()
    ((_, _, event),) = kube.writes
    assert isinstance(event, Mapping)
    assert "canary" not in str(event)
    assert f"http://ana:{MASK}@web/" in event["message"]
