"""What a service is, value by value: where it was written, or that it is derived; and the rules that it has."""

from dataclasses import replace
from pathlib import Path

from kintsugi.commands.selectors import label_selector
from kintsugi.model.api_types import ServiceValue
from kintsugi.model.catalog import Catalog
from kintsugi.model.known import RevisionStanding
from kintsugi.model.rules import Mode
from kintsugi.model.views import DerivedCheck, ServiceView
from kintsugi.pipeline.service_explanation import UNSEEN, service_explanation
from tests.unit import factories
from tests.unit.catalog.test_a_service_in_three_lines import short, taken
from tests.unit.factories import moment


def by_key(values: tuple[ServiceValue, ...]) -> dict[str, tuple[str, str]]:
    """Return each value and the file, line and column that say it."""
    return {each.key: (each.value, each.place.rpartition("/")[2]) for each in values}


def view_of(catalog: Catalog) -> ServiceView:
    """Return the view of cart."""
    return factories.view(catalog.services["cart"])


def test_a_value_of_a_service_comes_from_its_document_or_is_derived(tmp_path: Path) -> None:
    catalog = taken(tmp_path, short(more="dependsOn: [till]"), short("till", "statefulset/till"))
    seen = replace(catalog.services["cart"], selector=label_selector("app=cart"))
    standing = RevisionStanding(number=1, good_at=moment(minutes=6))
    check = DerivedCheck(service="front", address="10.0.0.7", scheme="http", port=80, path="/health")
    view = replace(factories.view(seen), derived_check=check, warnings=("a port is wrong",))
    found = service_explanation(view, catalog.rules.values(), standing, mode=Mode.AUTO, now=moment())
    values = by_key(found.values)
    assert values["namespace"] == ("shop", "own.yaml:5:14")
    assert values["workload"] == ("deployment/cart", "own.yaml:6:13")
    assert values["dependsOn"] == ("till", "own.yaml:7:14")
    assert values["selector"] == ("app=cart", "")
    assert values["runbook"] == ("workload-recovery", "")
    assert values["priority"] == ("1000", "")
    assert values["revision"] == ("revision 1: good in 6m", "")
    assert values["warnings"] == ("a port is wrong", "")
    asked = "smoke: http://10.0.0.7/health through service/front"
    assert values["checks"] == (f"{asked}, which counts once it has answered", "")
    met = service_explanation(replace(view, counts={check.url: 1}), (), standing, mode=Mode.AUTO, now=moment())
    assert by_key(met.values)["checks"] == (asked, "")


def test_a_rule_of_a_service_is_told_with_what_it_starts_when_and_from_where(tmp_path: Path) -> None:
    catalog = taken(tmp_path, short(more="rules: {pods-unhealthy: {for: 5m}}"), short("till", "statefulset/till"))
    rules = by_key(
        service_explanation(view_of(catalog), catalog.rules.values(), None, mode=Mode.AUTO, now=moment()).rules
    )
    value, place = rules["cart-pods-unhealthy"]
    assert value == "auto: workload-recovery on pod for 5m: object.unhealthy"
    assert place.startswith("any-service.yaml:")
    assert not any(name.startswith("till") for name in rules)


def test_a_rule_that_may_do_more_than_the_daemon_is_told_with_the_daemon_s_mode(tmp_path: Path) -> None:
    catalog = taken(tmp_path, short())
    found = service_explanation(view_of(catalog), catalog.rules.values(), None, mode=Mode.OBSERVE, now=moment())
    rules = by_key(found.rules)
    assert rules["cart-pods-unhealthy"][0].startswith("auto (the daemon's mode: observe): workload-recovery on pod")
    assert rules["cart-warnings"][0].startswith("observe: workload-recovery on services")


def test_the_selector_of_a_workload_that_was_never_seen_is_said_to_be_unknown(tmp_path: Path) -> None:
    catalog = taken(tmp_path, short())
    found = by_key(service_explanation(view_of(catalog), (), None, mode=Mode.AUTO, now=moment()).values)
    assert found["selector"] == found["revision"] == (UNSEEN, "")
    assert found["checks"] == ("none", "")
    assert "warnings" not in found
