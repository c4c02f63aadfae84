"""The intent of a delete: the state of a pod, the volume of a claim."""

from msgspec import UNSET, UnsetType

from kintsugi.actions.effect_plan import Intent


class DeleteIntent(Intent, frozen=True, kw_only=True):
    """Of a pod its status, restarts, node and controller; of a claim the name of its volume, "" for none."""

    status: str | UnsetType = UNSET
    restarts: int | UnsetType = UNSET
    node: str | UnsetType | None = UNSET
    controller: str | UnsetType = UNSET
    volume: str | UnsetType = UNSET
