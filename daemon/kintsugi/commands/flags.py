"""The flags that several commands of the grammar share."""

from kintsugi.commands import arg_types
from kintsugi.commands.command_problem import BY_A_PERSON
from kintsugi.commands.command_spec import Flag

NAMESPACE = Flag(names=("-n", "--namespace"), key="namespace", kind=arg_types.NAME)
EVERYWHERE = Flag(names=("-A", "--all-namespaces"), key="everywhere")
LABELS = Flag(names=("-l", "--selector"), key="labels", kind=arg_types.SELECTOR)
FIELDS = Flag(names=("--field-selector",), key="fields", kind=arg_types.FIELDS)
SORT_BY = Flag(names=("--sort-by",), key="sort_by", kind=arg_types.SORT)
TIMEOUT = Flag(names=("--timeout",), key="timeout", kind=arg_types.DURATION, waits=True)

OUTPUT = Flag(names=("-o", "--output"), key="output", kind=arg_types.OUTPUT)
NO_HEADERS = Flag(names=("--no-headers",))
SHOW_LABELS = Flag(names=("--show-labels",), key="show_labels")
WAITS = Flag(names=("--wait",))

WATCH = Flag(
    names=("-w", "--watch"),
    refused="a step polls on its own: leave it out, and give the step `within` (until it holds) or `for`",
)
_ONE_BY_ONE = (
    "changed objects are named one by one: list them with kubectl get in a step before this one, and write "
    "`forEach: steps.ID.items`, with ${each} as the name"
)
_MODE = "whether anything is changed is decided by the rule's `mode`"
_OWN_CLUSTER = f"the daemon acts on its own cluster, as itself: leave it out, or {BY_A_PERSON}"

CHANGES = (
    Flag(names=("-l", "--selector"), kind=arg_types.TEXT, refused=_ONE_BY_ONE),
    Flag(names=("--all",), refused=_ONE_BY_ONE),
    Flag(names=("-A", "--all-namespaces"), refused=_ONE_BY_ONE),
    Flag(names=("--field-selector",), kind=arg_types.TEXT, refused=_ONE_BY_ONE),
    Flag(names=("-f", "--filename"), kind=arg_types.TEXT, refused="no files are read: name the object as TYPE/NAME"),
    Flag(names=("--dry-run",), kind=arg_types.TEXT, refused=_MODE),
    OUTPUT,
)
"""The flags that every changing command refuses, each with its reason."""

KILLS = (
    Flag(
        names=("--force",),
        refused="it forgets the object while its processes may still run, and a second one could start beside them: leave it out",
    ),
    Flag(names=("--now",), refused="it cuts the pod's own grace period short: leave it out"),
)

KUBECTL = (
    NAMESPACE,
    *(
        Flag(names=names, kind=arg_types.TEXT, refused=_OWN_CLUSTER)
        for names in (("--context",), ("--cluster",), ("--kubeconfig",), ("--as",), ("--token",), ("-s", "--server"))
    ),
    *(Flag(names=names, kind=arg_types.TEXT) for names in (("-v", "--v"), ("--request-timeout",))),
)
"""Flags that every kubectl command takes, before its verb too."""
