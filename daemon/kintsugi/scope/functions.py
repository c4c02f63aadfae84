"""
The functions that expressions may call: facts about objects for which a comparison of fields is not enough.

`kubeobjects.predicates` computes them; CEL reads the computed values (`kintsugi.expressions.function` says why).
"""

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache, partial

from kintsugi.commands.results import REVISION, START
from kintsugi.expressions import BOOL, INT, STRING, ComputedField, Function, ListOf, Type, struct_type
from kintsugi.scope.types import SERVICE
from kubeobjects import predicates
from kubeobjects.kept import KEPT, Event, KubeService, Node, Object, Pod


def _computed(
    name: str,
    of: tuple[type[Object], ...],
    result: Type,
    compute: Callable[..., object],
    meaning: str,
    uses: tuple[str, ...] = (),
) -> Function:
    """Make the function that reads one fact of an object."""
    fields = tuple(ComputedField(name=name, of=kept, compute=compute, uses=uses) for kept in of)
    return Function(
        name=name,
        accepts=tuple((struct_type(kept),) for kept in of),
        result=result,
        runs=f"{{0}}.{fields[0].field}",
        computed_fields=fields,
        meaning=meaning,
    )


_OF_PODS: tuple[Function, ...] = (
    _computed(
        "statusOf",
        (Pod,),
        STRING,
        predicates.status_of,
        "kubectl's STATUS column of a pod: Running, CrashLoopBackOff, Terminating, …",
    ),
    _computed("ready", (Pod, Node), BOOL, predicates.ready, "whether a pod or node is known to be ready"),
)

_OTHERS: tuple[Function, ...] = (
    _computed(
        "crashLooping",
        (Pod,),
        BOOL,
        predicates.crash_looping,
        "whether a container of a pod crashes again and again",
        uses=("now",),
    ),
    _computed("unschedulable", (Pod,), BOOL, predicates.unschedulable, "whether the scheduler finds no node for a pod"),
    _computed("imageFailing", (Pod,), BOOL, predicates.image_failing, "whether an image of a pod cannot be pulled"),
    _computed("restarts", (Pod,), INT, predicates.restarts, "kubectl's RESTARTS column of a pod"),
    _computed(
        "address",
        (KubeService,),
        STRING,
        predicates.address,
        'address or host name of the load balancer of a Service, "" without one',
    ),
    Function(
        name="belongs",
        accepts=tuple((struct_type(kept), SERVICE) for kept in KEPT.values()),
        result=BOOL,
        runs='{0}.metadata.uid in {1}["owns"]',  # `service.owns` would be read as the name of that path
        meaning="whether an object is one of a service's pods, claims or endpoints, or its workload",
    ),
    Function(
        name="concerns",
        accepts=((struct_type(Event), SERVICE),),
        result=BOOL,
        runs="cel.bind(about, {0}.?involvedObject,"
        ' about.?uid.orValue("") in {1}["owns"] || (about.?namespace.orValue("") == {1}["namespace"] &&'
        ' (about.?name.orValue("") + "-").startsWith({1}[?"workload"].?metadata.?name.orValue("/") + "-")))',
        meaning="whether an Event is about an object of a service, or about one that its workload has made or is",
    ),
    Function(
        name="lastGood",
        accepts=((ListOf(REVISION),),),
        result=REVISION,
        runs="cel.bind(good, {0}.filter(r, r.good && !r.current),"
        " good.filter(r, r.number == math.greatest(good.map(g, g.number)))[0])",
        meaning="the newest revision that was good and is not the current one; no answer without one",
    ),
    Function(
        name="overThreeStarts",
        accepts=((ListOf(START), ListOf(STRING)),),
        result=BOOL,
        runs="cel.bind(told, {0}.filter(s, s.means.exists(m, m in {1})),"
        " told.exists(a, told.exists(b, b.pod == a.pod && b.start != a.start &&"
        " told.exists(c, c.pod == a.pod && c.start != a.start && c.start != b.start))))",
        meaning="whether at least three starts of one pod's containers logged one of these meanings; a start that is"
        " listed twice counts once",
    ),
)


@lru_cache(maxsize=8)
def functions(start_up: timedelta = predicates.START_UP_ALLOWANCE) -> tuple[Function, ...]:
    """Return all functions; `start_up` is what a pod may take to become ready before it counts as unhealthy."""
    unhealthy = _computed(
        "unhealthy",
        (Pod,),
        BOOL,
        partial(predicates.unhealthy, start_up=start_up),
        "whether a pod crash loops, or is known not to be ready past its start-up; Terminating and finished pods are not",
        uses=("now",),
    )
    return (*_OF_PODS, unhealthy, *_OTHERS)


FUNCTIONS = functions()
"""All functions, as they are where no duration is scaled."""
