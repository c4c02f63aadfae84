"""
The computed fields of kept objects: facts for which a comparison of the other fields is not enough.

`kubeobjects.predicates` computes nearly all of them. No Python runs inside CEL: cel-expr-python 0.1.3 never frees
the arguments of a Python function (12 KB a call with a pod). So the fields that an expression reads are added to the
objects before it is evaluated, and removed from its answer.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, lru_cache, partial
from typing import Any

from kintsugi.expressions.types import BOOL, INT, STRING, ListOf, Type
from kubeobjects import predicates
from kubeobjects.kept import Event, KubeService, Node, Object, Pod


@dataclass(frozen=True, slots=True, eq=False)
class ComputedField:
    """
    A field computed from each kept object of the class `of`.

    `compute` gets the object, then the values of the names in `uses`, which the scope must have. `meaning` is a phrase
    for people.
    """

    name: str
    of: type[Object]
    type: Type
    compute: Callable[..., object]
    meaning: str
    uses: tuple[str, ...] = ()


def _concerns(event: Event, services: Iterable[Mapping[str, Any]]) -> list[str]:
    about = event.involved_object
    return [
        service["name"]
        for service in services
        if about.namespace == service["namespace"]
        and (
            about.uid in service["owns"]
            or ("workload" in service and f"{about.name}-".startswith(f"{service['workload'].metadata.name}-"))
        )
    ]


_FIELDS = (
    ComputedField(
        "displayStatus",
        Pod,
        STRING,
        predicates.status_of,
        "kubectl's STATUS column of the pod: Running, CrashLoopBackOff, Terminating, …",
    ),
    ComputedField("ready", Pod, BOOL, predicates.ready, "whether the pod is known to be ready"),
    ComputedField(
        "crashLooping",
        Pod,
        BOOL,
        predicates.crash_looping,
        "whether a container of the pod crashes again and again",
        uses=("now",),
    ),
    ComputedField(
        "unschedulable", Pod, BOOL, predicates.unschedulable, "whether the scheduler finds no node for the pod"
    ),
    ComputedField("imageFailing", Pod, BOOL, predicates.image_failing, "whether an image of the pod cannot be pulled"),
    ComputedField("restarts", Pod, INT, predicates.restarts, "kubectl's RESTARTS column of the pod"),
    ComputedField("ready", Node, BOOL, predicates.ready, "whether the node is known to be ready"),
    ComputedField(
        "address",
        KubeService,
        STRING,
        predicates.load_balancer_address,
        'address or host name of the load balancer of the Service, "" without one',
    ),
    ComputedField(
        "concerns",
        Event,
        ListOf(STRING),
        _concerns,
        "the names of the services that the Event is about: about an object of theirs, or one that their workload has made or is",
        uses=("services",),
    ),
)


@lru_cache(maxsize=8)
def computed_fields(start_up: timedelta = predicates.START_UP_ALLOWANCE) -> tuple[ComputedField, ...]:
    """Return all computed fields; `start_up` is what a pod may take to become ready before it counts as unhealthy."""
    unhealthy = ComputedField(
        "unhealthy",
        Pod,
        BOOL,
        partial(predicates.unhealthy, start_up=start_up),
        "whether the pod crash loops, or is known not to be ready past its start-up; Terminating and finished pods are not",
        uses=("now",),
    )
    return (unhealthy, *_FIELDS)


@cache
def types_of(kind: type | None) -> Mapping[str, Type]:
    """Return the types of the computed fields of a class by their names."""
    return {each.name: each.type for each in computed_fields() if each.of is kind}
