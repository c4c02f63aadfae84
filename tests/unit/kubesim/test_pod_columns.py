"""The embedded cluster prints STATUS and RESTARTS as kubectl's printer does: the cases are those of the daemon's own fact."""

from typing import Any

import msgspec
import pytest

from kubeobjects.pods import Pod
from kubesim.apiserver.tables import restarts_column, status_column
from kubesim.manifest import Json
from tests.unit.objects.test_status_of_pods import RESTARTS, STATUSES


def manifest(pod: Pod) -> Json:
    """Return a pod as JSON, without what is not said of it."""
    read: Json = said(msgspec.to_builtins(pod))
    return read


def said(value: Any) -> Any:
    """Leave out what is null."""
    if isinstance(value, dict):
        return {key: said(each) for key, each in value.items() if each is not None}
    return [said(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(("target", "expected"), STATUSES)
def test_the_status_column_is_kubectls(target: Pod, expected: str) -> None:
    assert status_column(manifest(target)) == expected


@pytest.mark.parametrize(("target", "expected"), RESTARTS)
def test_the_restarts_column_is_kubectls(target: Pod, expected: int) -> None:
    assert restarts_column(manifest(target)) == expected


def test_an_evicted_pod_shows_its_reason() -> None:
    evicted = {"metadata": {"name": "web"}, "spec": {}, "status": {"phase": "Failed", "reason": "Evicted"}}
    assert status_column(evicted) == "Evicted"
