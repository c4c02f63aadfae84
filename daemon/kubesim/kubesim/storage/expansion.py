"""
The allowed change of a claim's specification: a larger request, where its class allows that
(ValidatePersistentVolumeClaimUpdate, and the admission PersistentVolumeClaimResize).
"""

from kubeobjects import resources
from kubeobjects.quantities import quantity
from kubesim.manifest import Json, dig
from kubesim.storage.status import ApiRefusal, Cause
from kubesim.storage.store import Store

_IMMUTABLE = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_NOT_ALLOWED = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)


def expansion_problems(claim: Json, previous: Json) -> list[Cause]:
    """List why a claim is not changed so: it is not bound, or would shrink."""
    had, gets, has = _requested(previous), _requested(claim), dig(previous, "status", "capacity", "storage")
    if had != gets and dig(previous, "status", "phase") != "Bound":
        return [Cause(reason="FieldValueForbidden", field="spec", message=f"Forbidden: {_IMMUTABLE}")]
    if quantity(gets) >= quantity(had) or quantity(gets) > quantity(has):
        return []
    message = "Forbidden: field can not be less than status.capacity"
    return [Cause(reason="FieldValueForbidden", field="spec.resources.requests.storage", message=message)]


def check_expansion(store: Store, claim: Json, previous: Json) -> None:
    """Raise ApiRefusal 403 for a claim whose class does not let it grow."""
    if quantity(_requested(claim)) <= quantity(_requested(previous)):
        return
    found = store.get(resources.STORAGECLASSES, None, dig(previous, "spec", "storageClassName", default=""))
    if found is None or found.get("allowVolumeExpansion") is not True:
        name = claim["metadata"]["name"]
        message = f'persistentvolumeclaims "{name}" is forbidden: {_NOT_ALLOWED}'
        raise ApiRefusal(403, "Forbidden", message, {"name": name, "kind": "persistentvolumeclaims"})


def _requested(claim: Json) -> str | None:
    found: str | None = dig(claim, "spec", "resources", "requests", "storage")
    return found
