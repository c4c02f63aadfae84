"""Every command that the grammar can make, for the properties that must hold for all of them."""

import json
from datetime import timedelta

from hypothesis import strategies as st

from kintsugi.commands.kinds import MARKABLE, OR_ROWS, PATCHABLE, READABLE, ROLLED_OUT, WITH_PODS
from kintsugi.commands.registry import by_verb
from kintsugi.model.command import Command, Delete, Exec, ObjectName, Patch, Psql, SetMetadata, Verb
from kintsugi.verbs.can_i import CanI, ListRights
from kintsugi.verbs.check import CheckPod
from kintsugi.verbs.create_job import CreateJob
from kintsugi.verbs.curl import Curl
from kintsugi.verbs.describe import Describe
from kintsugi.verbs.diagnose import Diagnose
from kintsugi.verbs.drain import Cordon, Drain
from kintsugi.verbs.evict import Evict
from kintsugi.verbs.get import Get
from kintsugi.verbs.get_raw import GetRaw
from kintsugi.verbs.instant_query import InstantQuery
from kintsugi.verbs.list_events import Events
from kintsugi.verbs.logs import Logs
from kintsugi.verbs.nc import NcZ
from kintsugi.verbs.nslookup import Nslookup
from kintsugi.verbs.rollout import Rollout
from kintsugi.verbs.scale import Scale
from kintsugi.verbs.set_env import SetEnv
from kintsugi.verbs.set_image import SetImage
from kintsugi.verbs.set_resources import SetResources
from kintsugi.verbs.top import Top, Usage
from kintsugi.verbs.wait import Wait
from kintsugi_restore.commands import BackupFetch, PgRestore
from kubeobjects.resources import DEPLOYMENTS, NODES, PODS, REPLICASETS, RESOURCES, Resource

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cc", "Cs", "Co", "Zl", "Zp")),
    max_size=20,
)
durations = st.integers(1, 10_000_000).map(lambda number: timedelta(milliseconds=number))
seconds = st.integers(1, 99_999).map(lambda number: timedelta(seconds=number / 100))
queries = st.text(
    st.characters(codec="ascii", min_codepoint=32, max_codepoint=126) | st.sampled_from("é\n"), min_size=1
).filter(lambda text: text.strip() and "${" not in text and not text.startswith("-"))
selectors = st.sampled_from(["app=web", "app in (a, b)", "!x", "a!=b,c=d", "app.kubernetes.io/name=x"])
maybe_selectors = st.just("") | selectors
keys = st.from_regex(r"([a-z]{1,4}\.[a-z]{1,3}/)?[a-z]([-a-z0-9]{0,5}[a-z0-9])?", fullmatch=True)
label_values = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?)?", fullmatch=True)
urls = st.sampled_from(
    ["http://a/health", "https://a.b:8443/x?y=1&z=%20", "http://[::1]:80/", "http://10.0.0.1", "http://a/x;y"]
)


def object_of(resources: tuple[Resource, ...], *, uid: bool = False) -> st.SearchStrategy[ObjectName]:
    """An object of one of the kinds that a command takes."""
    uids = st.uuids().map(str) if uid else st.just("")
    return st.builds(ObjectName, resource=st.sampled_from(resources), name=names, uid=uids)


def objects_of(resources: tuple[Resource, ...], *, uid: bool = False) -> st.SearchStrategy[tuple[ObjectName, ...]]:
    """Some of them."""
    return st.lists(object_of(resources, uid=uid), min_size=1, max_size=3).map(tuple)


def place_for(resources: list[Resource]) -> st.SearchStrategy[str]:
    """A namespace, none for kinds that live in none."""
    return names if any(each.namespaced for each in resources) else st.just("")


@st.composite
def gets(draw: st.DrawFn) -> Get:
    if draw(st.booleans()):
        found = draw(objects_of(OR_ROWS))
        namespace = draw(place_for([each.resource for each in found])) or None
        return Get(objects=found, namespace=namespace, ignore_not_found=draw(st.booleans()))
    resources = draw(st.lists(st.sampled_from(READABLE), min_size=1, max_size=3, unique=True))
    place = draw(place_for(resources)) or None
    return Get(
        resources=tuple(resources),
        words=tuple(draw(st.sampled_from([each.plural, each.singular, each.qualified])) for each in resources),
        namespace=draw(st.sampled_from([place, None])),
        labels=draw(maybe_selectors),
        fields=draw(st.sampled_from(["", "status.phase!=Running", "metadata.name=a,spec.nodeName=b"])),
        sort_by=draw(st.sampled_from(["", ".metadata.creationTimestamp"])),
    )


@st.composite
def describes(draw: st.DrawFn) -> Describe:
    if draw(st.booleans()):
        found = draw(objects_of(OR_ROWS))
        return Describe(objects=found, namespace=draw(place_for([each.resource for each in found])))
    resource = draw(st.sampled_from(OR_ROWS))
    return Describe(resource=resource, namespace=draw(place_for([resource])), labels=draw(maybe_selectors))


@st.composite
def waits(draw: st.DrawFn) -> Wait:
    condition = draw(
        st.sampled_from(["delete", "condition=Ready", "condition=Ready=false", "jsonpath={.status.phase}=Bound"])
    )
    timeout = draw(durations)
    if draw(st.booleans()):
        found = draw(objects_of(READABLE))
        place = draw(place_for([each.resource for each in found]))
        return Wait(objects=found, namespace=place, condition=condition, timeout=timeout)
    resource = draw(st.sampled_from(READABLE))
    labels = draw(selectors)
    return Wait(
        resource=resource, labels=labels, namespace=draw(place_for([resource])), condition=condition, timeout=timeout
    )


@st.composite
def logs(draw: st.DrawFn) -> Logs:
    chosen = draw(st.booleans())
    container = draw(st.just("") | names)
    return Logs(
        object=draw(object_of(WITH_PODS)) if chosen else None,
        labels="" if chosen else draw(selectors),
        namespace=draw(names),
        container=container,
        all_containers=not container and draw(st.booleans()),
        previous=draw(st.booleans()),
        follow=draw(st.booleans()),
        since=draw(st.none() | durations),
        tail=draw(st.none() | st.integers(0, 999)),
        timestamps=draw(st.booleans()),
        prefix=draw(st.booleans()),
    )


@st.composite
def tops(draw: st.DrawFn) -> Top:
    resource = draw(st.sampled_from([PODS, NODES]))
    name = draw(st.just("") | names)
    place = draw(place_for([resource])) or None
    return Top(
        resource=resource,
        name=name,
        namespace=place if name else draw(st.sampled_from([place, None])),
        labels="" if name else draw(maybe_selectors),
        sort_by=draw(st.sampled_from([None, *Usage])),
    )


@st.composite
def curls(draw: st.DrawFn) -> Curl:
    body = draw(st.none() | texts.filter(lambda text: not text.startswith("@") and text != ""))
    methods = ["GET", "POST", "PUT", "DELETE"] if body is None else ["POST", "PUT"]
    headers = st.tuples(st.sampled_from(["Accept", "X-Y"]), texts.map(str.strip))
    return Curl(
        url=draw(urls),
        method=draw(st.sampled_from(methods + ([] if body else ["HEAD"]))),
        headers=tuple(draw(st.lists(headers, max_size=2))),
        body=body,
        insecure=draw(st.booleans()),
        fail=draw(st.booleans()),
        follow=draw(st.booleans()),
        max_time=draw(st.none() | seconds),
    )


@st.composite
def patches(draw: st.DrawFn, uid: bool) -> Patch:
    found = draw(object_of(PATCHABLE, uid=uid))
    kind = draw(st.sampled_from(["strategic", "merge", "json"]))
    content: object = [{"op": "remove", "path": "/x"}] if kind == "json" else {"spec": {"x": draw(texts)}}
    return Patch(object=found, namespace=draw(place_for([found.resource])), patch=json.dumps(content), kind=kind)


@st.composite
def marks(draw: st.DrawFn, uid: bool) -> SetMetadata:
    verb = draw(st.sampled_from([Verb.LABEL, Verb.ANNOTATE]))
    found = draw(objects_of(MARKABLE, uid=uid))
    values = label_values if verb is Verb.LABEL else texts
    return SetMetadata(
        verb=verb,
        objects=found,
        namespace=draw(place_for([each.resource for each in found])),
        values=draw(st.dictionaries(keys, st.none() | values, min_size=1, max_size=3)),
        overwrite=draw(st.booleans()),
    )


@st.composite
def rollouts(draw: st.DrawFn, verb: Verb, uid: bool) -> Rollout:
    keys_known = {flag.key for flag in by_verb()[verb].flags}
    resources = (DEPLOYMENTS,) if verb in (Verb.ROLLOUT_PAUSE, Verb.ROLLOUT_RESUME) else ROLLED_OUT
    found = draw(object_of(resources, uid=uid))
    to_kept = draw(st.booleans()) if "to_kept" in keys_known else False
    return Rollout(
        verb=verb,
        object=found,
        namespace=draw(names),
        revision=draw(st.integers(0, 99)) if "revision" in keys_known and not to_kept else 0,
        timeout=draw(st.none() | durations) if "timeout" in keys_known else None,
        to_kept=to_kept,
        current=draw(st.integers(0, 99)) if "current" in keys_known else 0,
    )


images = st.sampled_from(["nginx", "nginx:1.27", "registry.example.com:5000/a/b:v1", f"a@sha256:{'0' * 64}"])
variables = st.from_regex(r"[-._a-zA-Z]{1,3}[-._a-zA-Z0-9]{0,5}[._a-zA-Z0-9]", fullmatch=True).filter(
    lambda name: not name.startswith("-")
)
amounts = st.dictionaries(
    st.sampled_from(["cpu", "memory", "ephemeral-storage", "nvidia.com/gpu"]),
    st.sampled_from(["1", "100m", "0.5", "512Mi", "1e3"]),
    max_size=2,
)
patterns = st.sampled_from(["*", "web", "web-*", "*b"])


@st.composite
def sets(draw: st.DrawFn, uid: bool) -> SetImage | SetResources | SetEnv:
    found = draw(object_of(ROLLED_OUT, uid=uid))
    place = draw(names)
    match draw(st.sampled_from([SetImage, SetResources, SetEnv])):
        case each if each is SetImage:
            chosen = st.just({"*": "nginx:2"}) | st.dictionaries(names, images, min_size=1, max_size=3)
            return SetImage(object=found, namespace=place, images=draw(chosen))
        case each if each is SetResources:
            limits, requests = draw(amounts), draw(amounts)
            return SetResources(
                object=found,
                namespace=place,
                containers=draw(patterns),
                limits=limits,
                requests=requests or ({} if limits else {"cpu": "1"}),
            )
    env = draw(st.dictionaries(variables, st.none() | texts, min_size=1, max_size=3))
    return SetEnv(object=found, namespace=place, containers=draw(patterns), env=env)


def can_is() -> st.SearchStrategy[CanI]:
    def build(resource: Resource, namespace: str, name: str) -> CanI:
        place = namespace if resource.namespaced else None
        return CanI(verb="delete", resource=resource, name=name, subresource="", namespace=place)

    return st.builds(build, st.sampled_from(RESOURCES), names, st.just("") | names)


statements = st.sampled_from(
    ["SELECT 1", "SELECT count(*) FROM orders WHERE note = 'it''s'", "SHOW server_version", "TABLE t", "VALUES (1, 2)"]
)
files = st.sampled_from(["", "/etc/pki/root.pem", "/run/passwords"])


def psqls() -> st.SearchStrategy[Psql]:
    return st.builds(
        Psql,
        statement=statements,
        host=names,
        port=st.integers(0, 65535),
        user=names,
        database=st.just("") | names,
        sslmode=st.sampled_from(["", "disable", "prefer", "require", "verify-full"]),
        rootcert=files,
        passfile=files,
    )


hosts = st.builds(
    lambda service, place, end: f"{service}.{place}{end}",
    *[st.from_regex(r"[a-z]{1,6}(-[a-z]{1,3})?", fullmatch=True)] * 2,
    st.sampled_from(["", ".svc", ".svc.cluster.local"]),
)
identifiers = st.from_regex(r"[A-Za-z0-9_]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9_])?", fullmatch=True)


@st.composite
def fetches(draw: st.DrawFn) -> BackupFetch:
    asked = draw(st.booleans())
    return BackupFetch(
        url=draw(st.sampled_from(["s3://bucket", "s3://a.b-c/", "s3://bucket/database/", "s3://bucket/ä=1&b/$(X)"])),
        database=draw(identifiers),
        namespace=draw(names),
        max_age=draw(st.none() | durations),
        host=draw(hosts) if asked else "",
        port=draw(st.integers(0, 65535)) if asked else 0,
        user=draw(identifiers) if asked else "",
    )


def restores() -> st.SearchStrategy[PgRestore]:
    return st.builds(
        PgRestore,
        file=st.sampled_from(["/backups/a", "/backups/database/app-2026-11-24.dump", "/backups/a b$(X)'.dump"]),
        host=hosts,
        port=st.integers(0, 65535),
        user=identifiers,
        database=identifiers,
    )


def execs() -> st.SearchStrategy[Exec]:
    asked = st.builds(lambda user, statement: ("psql", "-U", user, f"--command={statement}", "-X"), names, statements)
    others = st.sampled_from(
        [
            ("redis-cli", "PING"),
            ("redis-cli", "-p", "6380", "INFO", "server"),
            ("pg_isready", "-q"),
            ("df", "-P", "-k", "/data"),
            ("curl", "-w", r"%{http_code}\n", "http://web.production/"),
        ]
    )
    return st.builds(
        Exec,
        object=object_of(WITH_PODS),
        namespace=names,
        container=st.just("") | names,
        argv=asked | others,
    )


def commands(*, uid: bool = False) -> st.SearchStrategy[Command]:
    """Commands of every row; `uid` gives the objects of changes an identity."""
    workloads = (*ROLLED_OUT[:2], REPLICASETS)
    abouts = object_of(READABLE)
    graces = st.none() | st.integers(1, 600).map(lambda number: timedelta(seconds=number))
    return st.one_of(
        gets(),
        describes(),
        waits(),
        logs(),
        tops(),
        curls(),
        can_is(),
        st.builds(ListRights, namespace=names),
        st.builds(
            GetRaw,
            path=st.sampled_from(
                ["/readyz?verbose&exclude=etcd", "/livez/ping", "/apis/metrics.k8s.io/v1beta1/nodes/a"]
            ),
        ),
        execs(),
        psqls(),
        fetches(),
        restores(),
        patches(uid),
        marks(uid),
        sets(uid),
        *(rollouts(verb, uid) for verb in Verb if verb.startswith("kubectl rollout")),
        st.builds(Delete, objects=objects_of((PODS,), uid=uid), namespace=names, grace=graces),
        st.builds(
            Scale,
            objects=objects_of(workloads, uid=uid),
            namespace=names,
            replicas=st.integers(0, 99),
            current=st.none() | st.integers(0, 99),
        ),
        st.builds(
            Events,
            namespace=st.none() | names,
            about=st.none() | abouts,
            types=st.sampled_from([(), ("Warning",), ("Normal", "Warning")]),
        ),
        st.builds(Cordon, objects=objects_of((NODES,), uid=uid), on=st.booleans()),
        st.builds(
            Drain,
            object=object_of((NODES,), uid=uid),
            ignore_daemonsets=st.booleans(),
            delete_emptydir_data=st.booleans(),
            grace=graces,
            timeout=st.none() | durations,
            pod_selector=maybe_selectors,
        ),
        st.builds(CreateJob, name=names, cronjob=names, namespace=names),
        st.builds(Evict, object=object_of((PODS,), uid=uid), namespace=names),
        st.builds(CheckPod, object=object_of((PODS,), uid=uid), namespace=names),
        st.builds(
            Diagnose,
            object=object_of(ROLLED_OUT),
            namespace=names,
        ),
        st.builds(Nslookup, name=names, server=st.just("") | names),
        st.builds(InstantQuery, server=st.builds("http://{}:9090".format, names), query=queries),
        st.builds(NcZ, host=names, port=st.integers(1, 65535), timeout=st.none() | seconds),
    )
