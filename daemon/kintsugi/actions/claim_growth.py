"""The check of a claim's growth by a change of its request: it stays within the ceiling, and cannot be undone."""

from kintsugi.actions import preconditions
from kintsugi.actions.effect_plan import record_without_undo
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.model.records import UndoRecord
from kubeobjects import unstructured
from kubeobjects.quantities import quantity
from kubeobjects.resources import PVCS
from kubeobjects.unstructured import Unstructured


def check_growth(loaded: LoadedTarget, after: Unstructured) -> UndoRecord | None:
    """
    Return what is noted of a claim that grows in place of a way back; None for any other change.

    Raises Refused for one that would grow beyond what its service allows, and for one that would shrink.
    """
    had, gets = _request(loaded.obj), _request(after)
    if loaded.asked.resource != PVCS or had == gets:
        return None
    ceiling, service = loaded.context.max_allowed.storage, loaded.context.service or "its service"
    preconditions.check(
        f"{loaded.asked} cannot be made smaller (from {had} to {gets})" if _less(gets, had) else "",
        "" if ceiling else f"{loaded.asked} does not grow: {service} declares no maxAllowed.storage",
        f"{loaded.asked} does not grow to {gets}: maxAllowed.storage of {service} is {ceiling}"
        if ceiling and _less(ceiling, gets)
        else "",
    )
    return record_without_undo(f"a claim cannot be made smaller: it asked for {had} before")


def _request(claim: Unstructured) -> str:
    return str(unstructured.nested_field(claim, "spec", "resources", "requests", "storage") or "")


def _less(one: str, other: str) -> bool:
    return quantity(one or None) < quantity(other or None)
