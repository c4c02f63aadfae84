"""
The commands that a runbook may use, as one table.

A row says how a command is written, which flags and objects it takes, and which names an expression sees afterwards.
To add a command: a row here, its builder, its way back to text in `render`, and an action that performs it.
"""

from collections.abc import Mapping

from kintsugi.commands import backups, changes, flags, kinds, probes, programs, queries, reads, results
from kintsugi.commands.kinds import NAME, REFERENCE
from kintsugi.commands.row import Flag, Row
from kintsugi.model.command import Verb
from kintsugi.objects import resources as of

READABLE = tuple(each for each in of.RESOURCES if each not in (of.SECRETS, of.POD_METRICS, of.NODE_METRICS))
ROLLED_OUT = (of.DEPLOYMENTS, of.STATEFULSETS, of.DAEMONSETS)
WITH_PODS = (of.PODS, *ROLLED_OUT, of.REPLICASETS, of.JOBS)
MARKABLE = (
    *WITH_PODS,
    *(of.CRONJOBS, of.SERVICES, of.INGRESSES, of.PVCS, of.PVS, of.NODES, of.HPAS, of.PDBS, of.STORAGECLASSES),
    *(of.NAMESPACES, of.CONFIGMAPS),
)
PATCHABLE = MARKABLE[:-2]

_SECRETS = "a Secret's content must not reach the ledger"
_ONLY_PODS = (
    "only pods are deleted, because their controllers make new ones, and claims whose volume is kept: nothing else comes "
    "back"
)
_NO_PATCH = "of other kinds a wrong field cannot be taken back safely"
_REVISION = Flag(names=("--revision",), key="revision", kind=kinds.NATURAL)
_TO_REVISION = Flag(names=("--to-revision",), key="revision", kind=kinds.NATURAL)
_OVERWRITE = Flag(names=("--overwrite",), key="overwrite")

READS = (
    Row(
        verb=Verb.GET,
        changes=False,
        usage="kubectl get TYPE[,TYPE…] | TYPE NAME… | TYPE/NAME… [-n NS | -A] [-l SELECTOR] [--field-selector=FIELDS] "
        "[--sort-by=FIELD] [--ignore-not-found]",
        example="kubectl get pods -l app=web",
        flags=(
            *flags.KUBECTL,
            *(flags.EVERYWHERE, flags.LABELS, flags.FIELDS, flags.SORT_BY, flags.OUTPUT, flags.NO_HEADERS),
            *(flags.SHOW_LABELS, flags.WATCH, Flag(names=("--ignore-not-found",), key="ignore_not_found")),
        ),
        arguments=(REFERENCE, NAME),
        build=reads.build_get,
        resources=READABLE,
        only=_SECRETS,
    ),
    Row(
        verb=Verb.DESCRIBE,
        changes=False,
        usage="kubectl describe TYPE NAME… | TYPE/NAME… | TYPE [-l SELECTOR] [-n NS]",
        example="kubectl describe pod web-1",
        flags=(*flags.KUBECTL, flags.LABELS),
        arguments=(REFERENCE, NAME),
        build=reads.build_describe,
        resources=READABLE,
        only=_SECRETS,
        result=results.DESCRIPTION,
    ),
    Row(
        verb=Verb.LOGS,
        changes=False,
        usage="kubectl logs POD [CONTAINER] | TYPE/NAME [CONTAINER] | -l SELECTOR [-c CONTAINER | --all-containers] [-p] [-f] "
        "[--since=DURATION] "
        "[--tail=N] [--timestamps] [--prefix] [-n NS]",
        example="kubectl logs web-1 --previous --tail=100",
        flags=(
            *flags.KUBECTL,
            flags.LABELS,
            Flag(names=("-c", "--container"), key="container", kind=NAME),
            Flag(names=("--all-containers",), key="all_containers"),
            Flag(names=("-p", "--previous"), key="previous"),
            Flag(names=("-f", "--follow"), key="follow"),
            Flag(names=("--since",), key="since", kind=kinds.DURATION),
            Flag(names=("--tail",), key="tail", kind=kinds.INTEGER),
            Flag(names=("--timestamps",), key="timestamps"),
            Flag(names=("--prefix",), key="prefix"),
            Flag(names=("--max-log-requests",), kind=kinds.NATURAL),
        ),
        arguments=(kinds.BARE, NAME),
        build=reads.build_logs,
        resources=WITH_PODS,
        bare=of.PODS,
        result=results.LINES,
    ),
    Row(
        verb=Verb.EXEC,
        changes=False,
        usage=f"kubectl exec [-it] POD | TYPE/NAME [-c CONTAINER] [-n NS] -- {programs.USAGE}",
        example="kubectl exec -it statefulset/cache -- redis-cli PING",
        flags=(
            *flags.KUBECTL,
            Flag(names=("-c", "--container"), key="container", kind=NAME),
            *(Flag(names=names) for names in (("-i", "--stdin"), ("-t", "--tty"), ("-q", "--quiet"))),
        ),
        arguments=(kinds.BARE, kinds.PROGRAM_WORD),
        build=programs.build_exec,
        resources=WITH_PODS,
        bare=of.PODS,
        passes=True,
    ),
    Row(
        verb=Verb.TOP,
        changes=False,
        usage="kubectl top pods|nodes [NAME | -l SELECTOR] [-n NS | -A] [--sort-by=cpu|memory]",
        example="kubectl top nodes",
        flags=(
            *flags.KUBECTL,
            *(flags.EVERYWHERE, flags.LABELS, flags.NO_HEADERS),
            Flag(names=("--sort-by",), key="sort_by", kind=kinds.USAGE),
        ),
        arguments=(REFERENCE, NAME),
        build=reads.build_top,
        resources=(of.PODS, of.NODES),
        result=results.USAGE,
    ),
    Row(
        verb=Verb.EVENTS,
        changes=False,
        usage="kubectl events [--for=TYPE/NAME] [--types=Warning,Normal] [-n NS | -A]",
        example="kubectl events --for=pod/web-1 --types=Warning",
        flags=(
            *flags.KUBECTL,
            *(flags.EVERYWHERE, flags.WATCH, flags.OUTPUT, flags.NO_HEADERS),
            Flag(names=("--for",), key="about", kind=REFERENCE),
            Flag(names=("--types",), key="types", kind=kinds.TYPES),
        ),
        arguments=(),
        build=reads.build_events,
        resources=READABLE,
    ),
    Row(
        verb=Verb.WAIT,
        changes=False,
        usage="kubectl wait TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR --for=CONDITION [--timeout=DURATION] [-n NS]",
        example="kubectl wait pod/web-1 --for=condition=Ready --timeout=2m",
        flags=(
            *flags.KUBECTL,
            *(flags.LABELS, flags.TIMEOUT, flags.OUTPUT),
            Flag(names=("--for",), key="condition", kind=kinds.CONDITION, required=True),
            Flag(names=("--all",), refused="all of a kind may be none: name the objects, or choose them with -l"),
        ),
        arguments=(REFERENCE, NAME),
        build=reads.build_wait,
        resources=READABLE,
        only=_SECRETS,
    ),
    Row(
        verb=Verb.CAN_I,
        changes=False,
        usage="kubectl auth can-i VERB TYPE[/NAME] [--subresource=NAME] [-n NS | -A]",
        example="kubectl auth can-i delete pods",
        flags=(
            *flags.KUBECTL,
            *(flags.EVERYWHERE, Flag(names=("--subresource",), key="subresource", kind=NAME)),
            Flag(names=("-q", "--quiet")),
        ),
        arguments=(kinds.WORD, REFERENCE),
        build=reads.build_can_i,
        result=results.DECISION,
    ),
    Row(
        verb=Verb.ROLLOUT_HISTORY,
        changes=False,
        usage="kubectl rollout history TYPE/NAME | TYPE [--revision=N] [-n NS]",
        example="kubectl rollout history deployment/web",
        flags=(*flags.KUBECTL, _REVISION, flags.OUTPUT),
        arguments=(REFERENCE, NAME),
        build=changes.build_rollout(Verb.ROLLOUT_HISTORY),
        resources=ROLLED_OUT,
        result=results.REVISIONS,
    ),
    Row(
        verb=Verb.ROLLOUT_STATUS,
        changes=False,
        usage="kubectl rollout status TYPE/NAME [--timeout=DURATION] [-n NS]",
        example="kubectl rollout status deployment/web --timeout=5m",
        flags=(*flags.KUBECTL, flags.TIMEOUT, Flag(names=("-w", "--watch")), _REVISION),
        arguments=(REFERENCE, NAME),
        build=changes.build_rollout(Verb.ROLLOUT_STATUS),
        resources=ROLLED_OUT,
        result=results.PROGRESS,
    ),
)


def _rollout(verb: Verb, *more: Flag, usage: str = "", resources: tuple[of.Resource, ...] = ROLLED_OUT) -> Row:
    """Make the row of a rollout command that changes one workload."""
    return Row(
        verb=verb,
        changes=True,
        usage=f"{verb} TYPE/NAME{usage} [-n NS]",
        example=f"{verb} deployment/web",
        flags=(*flags.KUBECTL, *flags.CHANGES, *more),
        arguments=(REFERENCE, NAME),
        build=changes.build_rollout(verb),
        resources=resources,
    )


def _mark(verb: Verb) -> Row:
    """Make the row of `kubectl label` or `annotate`."""
    return Row(
        verb=verb,
        changes=True,
        usage=f"{verb} TYPE NAME… KEY=VALUE… | KEY-… [--overwrite] [-n NS]",
        example=f"{verb} pod web-1 quarantined=yes",
        flags=(*flags.KUBECTL, *flags.CHANGES, _OVERWRITE),
        arguments=(REFERENCE, NAME),
        build=changes.build_mark(verb),
        resources=MARKABLE,
        marks=True,
    )


def _cordon(verb: Verb, *, on: bool) -> Row:
    """Make the row of `kubectl cordon` or `uncordon`."""
    return Row(
        verb=verb,
        changes=True,
        usage=f"{verb} NODE…",
        example=f"{verb} node-1",
        flags=(*flags.KUBECTL, *flags.CHANGES),
        arguments=(kinds.BARE, NAME),
        build=changes.build_cordon(on=on),
        resources=(of.NODES,),
        bare=of.NODES,
    )


CHANGES = (
    Row(
        verb=Verb.DELETE,
        changes=True,
        usage="kubectl delete pod|pvc NAME… [--grace-period=SECONDS] [-n NS]",
        example="kubectl delete pod web-1",
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES, *flags.KILLS, flags.WAITS),
            Flag(names=("--grace-period",), key="grace", kind=kinds.INTEGER),
            Flag(names=("--ignore-not-found",)),
        ),
        arguments=(REFERENCE, NAME),
        build=changes.build_delete,
        resources=(of.PODS, of.PVCS),
        only=_ONLY_PODS,
    ),
    Row(
        verb=Verb.SCALE,
        changes=True,
        usage="kubectl scale TYPE NAME… | TYPE/NAME… --replicas=N [--current-replicas=N] [-n NS]",
        example="kubectl scale deployment web --replicas=5",
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES),
            Flag(names=("--replicas",), key="replicas", kind=kinds.NATURAL, required=True),
            Flag(names=("--current-replicas",), key="current", kind=kinds.NATURAL),
        ),
        arguments=(REFERENCE, NAME),
        build=changes.build_scale,
        resources=(of.DEPLOYMENTS, of.STATEFULSETS, of.REPLICASETS),
    ),
    _rollout(Verb.ROLLOUT_UNDO, _TO_REVISION, usage=" [--to-revision=N]"),
    _rollout(Verb.ROLLOUT_RESTART),
    _rollout(Verb.ROLLOUT_PAUSE, resources=(of.DEPLOYMENTS,)),
    _rollout(Verb.ROLLOUT_RESUME, resources=(of.DEPLOYMENTS,)),
    _cordon(Verb.CORDON, on=True),
    _cordon(Verb.UNCORDON, on=False),
    Row(
        verb=Verb.PATCH,
        changes=True,
        usage="kubectl patch TYPE NAME -p JSON [--type=strategic|merge|json] [-n NS]",
        example='kubectl patch pv data -p \'{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}\'',
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES),
            Flag(names=("-p", "--patch"), key="patch", kind=kinds.JSON, required=True),
            Flag(names=("--type",), key="kind", kind=kinds.PATCH_TYPE),
        ),
        arguments=(REFERENCE, NAME),
        build=changes.build_patch,
        resources=PATCHABLE,
        only=_NO_PATCH,
    ),
    _mark(Verb.LABEL),
    _mark(Verb.ANNOTATE),
)

PROBES = (
    Row(
        verb=Verb.CURL,
        changes=False,
        usage="curl URL [-X METHOD] [-H 'NAME: VALUE']… [-d BODY] [-I] [-L] [-k] [-f] [-m SECONDS]",
        example="curl http://web.production/health",
        flags=(
            Flag(names=("-X", "--request"), key="method", kind=kinds.METHOD),
            Flag(names=("-H", "--header"), key="headers", kind=kinds.HEADER, many=True),
            Flag(names=("-d", "--data", "--data-raw"), key="body", kind=kinds.BODY, many=True),
            Flag(names=("-I", "--head"), key="head"),
            Flag(names=("-L", "--location"), key="follow"),
            Flag(names=("-k", "--insecure"), key="insecure"),
            Flag(names=("-f", "--fail"), key="fail"),
            Flag(names=("-m", "--max-time"), key="max_time", kind=kinds.SECONDS),
            Flag(names=("-o", "--output"), key="output", kind=kinds.TEXT),
            Flag(names=("-w", "--write-out"), kind=kinds.TEXT),
            *(Flag(names=(name,)) for name in ("-s", "-S", "-i", "-v")),
            *(Flag(names=(f"--{name}",)) for name in ("silent", "show-error", "include", "verbose")),
            Flag(
                names=("--retry",), kind=kinds.NATURAL, refused="a step asks again by itself until `within` has passed"
            ),
            Flag(names=("-u", "--user"), kind=kinds.TEXT, refused="credentials do not stand in a runbook"),
        ),
        arguments=(kinds.URL,),
        build=probes.build_curl,
        result=results.RESPONSE,
    ),
    Row(
        verb=Verb.NSLOOKUP,
        changes=False,
        usage="nslookup NAME [SERVER]",
        example="nslookup web.production",
        flags=(),
        arguments=(kinds.HOST,),
        build=probes.build_nslookup,
        result=results.LOOKUP,
    ),
    Row(
        verb=Verb.NC,
        changes=False,
        usage="nc -z HOST PORT [-w SECONDS]",
        example="nc -z web.production 80",
        flags=(
            Flag(names=("-z",), key="knock"),
            Flag(names=("-w",), key="timeout", kind=kinds.SECONDS),
            *(Flag(names=(name,)) for name in ("-v", "-n")),
        ),
        arguments=(kinds.HOST, kinds.PORT),
        build=probes.build_nc,
        result=results.CONNECTION,
    ),
)

QUERIES = (
    Row(
        verb=Verb.PSQL,
        changes=False,
        usage=f"psql -h HOST {queries.USAGE.removeprefix('psql ').replace('[-U USER]', '-U USER')}",
        example="psql -h database.production -U postgres -c 'SELECT 1'",
        flags=(
            Flag(names=("-h", "--host"), key="host", kind=kinds.HOST, required=True),
            Flag(names=("-p", "--port"), key="port", kind=kinds.PORT),
            Flag(names=("-U", "--username"), key="user", kind=kinds.PASSED, required=True),
            Flag(names=("-d", "--dbname"), key="database", kind=kinds.PASSED),
            Flag(names=("-c", "--command"), key="statement", kind=kinds.SQL, required=True),
            *(Flag(names=names) for names in queries.HARMLESS),
            *(Flag(names=names, kind=kinds.TEXT, refused=why) for names, why in queries.REFUSED),
            Flag(names=("-W", "--password"), refused=queries.NO_PROMPT),
        ),
        arguments=(),
        build=queries.build_psql,
        result=results.TABLE,
    ),
)

ROWS: tuple[Row, ...] = (*READS, *CHANGES, *PROBES, *QUERIES, *backups.ROWS)
BY_VERB: Mapping[Verb, Row] = {row.verb: row for row in ROWS}
