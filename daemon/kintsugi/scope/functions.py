"""
The functions that expressions may call: facts about objects, which a comparison of fields gets wrong.

Each takes the object as the dict that an expression holds, reads it into its kept struct, and asks `objects.facts`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from kintsugi.commands.results import REVISION
from kintsugi.errors import EvaluationError
from kintsugi.expressions import BOOL, INT, STRING, Function, ListOf, Type, struct_type
from kintsugi.objects import facts
from kintsugi.objects.kept import KEPT, Kept, Node, Object, Pod, Service
from kintsugi.objects.selectors import Selector
from kintsugi.scope.types import SERVICE

T = TypeVar("T", bound=Kept)
Fields = Mapping[str, object]

_POD: tuple[tuple[Type, ...], ...] = ((struct_type(Pod),),)
_ANY_OBJECT: tuple[tuple[Type, ...], ...] = tuple((struct_type(kept), SERVICE) for kept in KEPT.values())


def _read(kept: type[T], fields: Fields) -> T:
    return msgspec.convert(fields, kept, strict=False)


def _status_of(pod: Fields) -> str:
    return facts.status_of(_read(Pod, pod))


def _ready(pod_or_node: Fields) -> bool:
    spec = pod_or_node.get("spec")
    is_pod = isinstance(spec, Mapping) and "containers" in spec
    return facts.ready(_read(Pod, pod_or_node) if is_pod else _read(Node, pod_or_node))


def _unhealthy(pod: Fields, now: datetime) -> bool:
    return facts.unhealthy(_read(Pod, pod), now)


def _crash_looping(pod: Fields, now: datetime) -> bool:
    return facts.crash_looping(_read(Pod, pod), now)


def _unschedulable(pod: Fields) -> bool:
    return facts.unschedulable(_read(Pod, pod))


def _image_failing(pod: Fields) -> bool:
    return facts.image_failing(_read(Pod, pod))


def _restarts(pod: Fields) -> int:
    return facts.restarts(_read(Pod, pod))


def _address(service: Fields) -> str:
    return facts.address(_read(Service, service))


def _belongs(owned: Fields, service: Fields) -> bool:
    """Tell whether an object is one of the service's: known as such by its view, or chosen by its selector."""
    metadata = _read(Object, owned).metadata
    if metadata.namespace != service["namespace"]:
        return False
    known = {uid for name in ("pods", "claims", "endpoints") for uid in _uids(service.get(name))}
    known |= _uids([service.get("workload")])
    return metadata.uid in known or Selector.parse(str(service["selector"])).matches(metadata.labels)


def _uids(objects: object) -> frozenset[str]:
    found = objects if isinstance(objects, list) else []
    uids = (_read(Object, each).metadata.uid for each in found if isinstance(each, Mapping))
    return frozenset(uid for uid in uids if uid)


def _last_good(revisions: Sequence[Fields]) -> Fields:
    good = [revision for revision in revisions if revision.get("good") and not revision.get("current")]
    if not good:
        raise EvaluationError("no earlier revision is known to be good")
    return max(good, key=_number)


def _number(revision: Fields) -> int:
    number = revision["number"]
    assert isinstance(number, int), "a revision's number is an integer"
    return number


_of_pod = partial(Function, accepts=_POD)

FUNCTIONS: tuple[Function, ...] = (
    _of_pod(
        name="status_of",
        result=STRING,
        implementation=_status_of,
        meaning="kubectl's STATUS column of a pod: Running, CrashLoopBackOff, Terminating, …",
    ),
    Function(
        name="ready",
        accepts=((struct_type(Pod),), (struct_type(Node),)),
        result=BOOL,
        implementation=_ready,
        meaning="whether a pod or node is known to be ready",
    ),
    _of_pod(
        name="unhealthy",
        result=BOOL,
        implementation=_unhealthy,
        uses=("now",),
        meaning="whether a pod is known not to be ready past its start-up, or crash loops; Terminating and finished pods are not",
    ),
    _of_pod(
        name="crash_looping",
        result=BOOL,
        implementation=_crash_looping,
        uses=("now",),
        meaning="whether a container of a pod keeps crashing",
    ),
    _of_pod(
        name="unschedulable",
        result=BOOL,
        implementation=_unschedulable,
        meaning="whether the scheduler finds no node for a pod",
    ),
    _of_pod(
        name="image_failing",
        result=BOOL,
        implementation=_image_failing,
        meaning="whether a pod's image cannot be pulled",
    ),
    _of_pod(
        name="restarts",
        result=INT,
        implementation=_restarts,
        meaning="how often a pod's containers have restarted",
    ),
    Function(
        name="address",
        accepts=((struct_type(Service),),),
        result=STRING,
        implementation=_address,
        meaning='where a load balancer takes traffic for a Service: address or host name, "" while there is none',
    ),
    Function(
        name="belongs",
        accepts=_ANY_OBJECT,
        result=BOOL,
        implementation=_belongs,
        meaning="whether an object is one of a service's pods, claims, endpoints or its workload, or chosen by its selector",
    ),
    Function(
        name="last_good",
        accepts=((ListOf(REVISION),),),
        result=REVISION,
        implementation=_last_good,
        meaning="the newest revision that was good and is not the current one; no answer when there is none",
    ),
)
