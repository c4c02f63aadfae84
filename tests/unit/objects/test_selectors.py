"""Label and field selectors mean what they mean to kubectl; none of them selects everything."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.commands.selectors import selector_of
from kintsugi.errors import UsageError
from kubeobjects.kept import LabelRequirement, LabelSelector
from kubeobjects.selectors import FieldSelector, Selector, SelectorError

KEYS = st.sampled_from(["app", "tier", "app.kubernetes.io/name"])
VALUES = st.sampled_from(["web", "api", "db-0", ""])
LABELS = st.dictionaries(KEYS, VALUES)


@pytest.mark.parametrize(
    ("text", "labels", "selected"),
    [
        ("app=web", {"app": "web"}, True),
        ("app==web", {"app": "web", "x": "y"}, True),
        ("app=web", {}, False),
        ("app=", {"app": ""}, True),
        ("app!=web", {}, True),
        ("app!=web", {"app": "api"}, True),
        ("app in (web, api)", {"app": "api"}, True),
        ("app in (web,api)", {"app": "db"}, False),
        ("app notin (web)", {}, True),
        ("app", {"app": ""}, True),
        ("!app", {"app": "web"}, False),
        ("! app", {}, True),
        ("generation>3", {"generation": "4"}, True),
        ("generation<3", {"generation": "x"}, False),
        ("app.kubernetes.io/name=ingress-controller", {"app.kubernetes.io/name": "ingress-controller"}, True),
        ("app=web,tier in (a,b),!legacy", {"app": "web", "tier": "b"}, True),
        ("app=web,tier in (a,b),!legacy", {"app": "web", "tier": "b", "legacy": ""}, False),
        (" app = web , tier ", {"app": "web", "tier": "x"}, True),
    ],
)
def test_a_selector_selects_what_kubectl_selects(text: str, labels: Mapping[str, str], *, selected: bool) -> None:
    """Equality and set based; != and notin hold for an object that lacks the label."""
    assert Selector.parse(text).matches(labels) is selected


@pytest.mark.parametrize(
    "text",
    ["app=web,", ",", "=web", "app in (web", "app in web", "app web", "!", "a=b=c", "-a", "a=b!", "a>x", "a/b/c=d"],
)
def test_a_selector_that_cannot_be_read_is_refused_with_what_would_be_right(text: str) -> None:
    """P6: a misread selector would pick other objects."""
    with pytest.raises(SelectorError, match="label selector"):
        Selector.parse(text)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_selector_is_refused(text: str) -> None:
    """P6, B22: it would select everything."""
    for parse in (Selector.parse, FieldSelector.parse):
        with pytest.raises(SelectorError, match="empty"):
            parse(text)
    for selector in (LabelSelector(), LabelSelector(match_labels={})):
        with pytest.raises(UsageError, match="empty"):
            selector_of(selector)
    with pytest.raises(SelectorError, match="empty"):
        Selector.of(())


@given(st.dictionaries(KEYS, VALUES, min_size=1), LABELS)
def test_a_selector_made_of_labels_selects_their_supersets(wanted: dict[str, str], labels: dict[str, str]) -> None:
    """As a Service's selector does; its text, parsed again, means the same."""
    selector = selector_of(LabelSelector(match_labels=wanted))
    assert selector.matches(labels) is (wanted.items() <= labels.items())
    assert Selector.parse(selector.text).requirements == selector.requirements


@given(KEYS, st.sets(VALUES, min_size=1), LABELS)
def test_a_workloads_selector_means_the_same_as_its_text(key: str, values: set[str], labels: dict[str, str]) -> None:
    """In is the opposite of NotIn, Exists of DoesNotExist, on every object."""
    for one, other in (("In", "NotIn"), ("Exists", "DoesNotExist")):
        operands = tuple(values) if one == "In" else ()
        selectors = [
            selector_of(LabelSelector(match_expressions=(LabelRequirement(key=key, operator=op, values=operands),)))
            for op in (one, other)
        ]
        assert selectors[0].matches(labels) is not selectors[1].matches(labels)
        assert all(Selector.parse(each.text).requirements == each.requirements for each in selectors)


def test_an_unknown_operator_is_refused() -> None:
    """P6: a workload whose selector is not understood is not acted on."""
    odd = LabelSelector(match_expressions=(LabelRequirement(key="a", operator="Near"),))
    with pytest.raises(UsageError, match="Near"):
        selector_of(odd)


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("status.phase=Running", True),
        ("status.phase==Running,spec.nodeName=n1", True),
        ("status.phase!=Running", False),
        ("spec.unschedulable=true", True),
        ("spec.absent=", True),
        ("spec.absent!=x", True),
        ("metadata.name=web", False),
    ],
)
def test_a_field_selector_compares_fields(text: str, *, selected: bool) -> None:
    """An absent field reads as empty, as it does to the API server."""
    document = {"status": {"phase": "Running"}, "spec": {"nodeName": "n1", "unschedulable": True}}
    assert FieldSelector.parse(text).matches(document) is selected


@pytest.mark.parametrize("text", ["status.phase", "=x", "a in (b)", "a=b,", "a=b=c"])
def test_a_field_selector_that_cannot_be_read_is_refused(text: str) -> None:
    """Field selectors know equality only."""
    with pytest.raises(SelectorError, match="field selector"):
        FieldSelector.parse(text)
