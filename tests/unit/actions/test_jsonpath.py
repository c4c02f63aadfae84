"""kubectl's JSONPath and Kubernetes' quantities, as far as commands use them."""

from decimal import Decimal

import pytest

from kintsugi.actions.jsonpath import JsonPath
from kintsugi.errors import CommandError
from kubeobjects.quantities import parse_quantity, quantity, whole

POD = {
    "metadata": {"name": "web", "annotations": {"example.com/a": "1"}},
    "spec": {"containers": [{"name": "web"}, {"name": "proxy"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("{.metadata.name}", ["web"]),
        (".metadata.name", ["web"]),
        ("metadata.name", ["web"]),
        ("{$.metadata.name}", ["web"]),
        ("{.metadata.annotations.example\\.com/a}", ["1"]),
        ("{.metadata['annotations']['example.com/a']}", ["1"]),
        ("{.spec.containers[1].name}", ["proxy"]),
        ("{.spec.containers[-1].name}", ["proxy"]),
        ("{.spec.containers[7].name}", []),
        ("{.spec.containers[*].name}", ["web", "proxy"]),
        ('{.status.conditions[?(@.type=="Ready")].status}', ["True"]),
        ("{.status.conditions[?(@.type!='Ready')].status}", ["False"]),
        ("{.absent.name}", []),
    ],
)
def test_a_path_finds_what_kubectl_finds(path: str, values: list[object]) -> None:
    """With and without braces."""
    assert JsonPath.parse(path).find(POD) == values


@pytest.mark.parametrize("path", ["", "{}", "{.a[}", "{range .items}", "{.a[?(@.b>1)]}"])
def test_a_path_that_is_not_understood_says_so(path: str) -> None:
    """It never finds something else instead."""
    with pytest.raises(CommandError):
        JsonPath.parse(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", Decimal(2)),
        ("250m", Decimal("0.25")),
        ("1Ki", Decimal(1024)),
        ("1.5Gi", Decimal(3 << 29)),
        ("129e6", Decimal(129_000_000)),
        ("1E", Decimal(10**18)),
        ("123456789n", Decimal("0.123456789")),
        ("-1k", Decimal(-1000)),
        ("ten", None),
        ("1KiB", None),
        ("", None),
    ],
)
def test_quantities_are_exact(text: str, value: Decimal | None) -> None:
    """And what is none is none."""
    assert parse_quantity(text) == value


def test_whole_amounts_are_rounded_up() -> None:
    """As Kubernetes does."""
    assert whole(Decimal("1234.1")) == 1235


@pytest.mark.parametrize(("value", "amount"), [(None, 0), (2, 2), ("100n", Decimal("1E-7")), ("1P", 10**15)])
def test_a_manifest_s_quantity_is_a_number(value: str | int | None, amount: Decimal) -> None:
    assert quantity(value) == amount


def test_a_text_that_is_no_quantity_in_a_manifest_is_refused() -> None:
    with pytest.raises(ValueError, match="'1KiB' is not a quantity"):
        quantity("1KiB")
