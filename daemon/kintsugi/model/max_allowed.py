"""
The ceiling up to which a service's resources may be raised without a change of its manifests: the
VerticalPodAutoscaler's word.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class MaxAllowed:
    """
    The most that a service lets be set, as quantities; "" where nothing is raised.

    `memory` is the limit of any one container of its pods, `storage` what any one of its claims asks for.
    """

    memory: str = ""
    storage: str = ""


NOTHING_ALLOWED = MaxAllowed()
