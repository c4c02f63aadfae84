"""The way back: a command as the words and the text that a person can paste into a terminal."""

import shlex
from collections.abc import Iterator
from datetime import timedelta

from kintsugi.durations import format_duration
from kintsugi.model.command import (
    BackupFetch,
    CanI,
    Command,
    Cordon,
    Create,
    Curl,
    Delete,
    Describe,
    Dropdb,
    Events,
    Exec,
    Get,
    Logs,
    Mark,
    NcZ,
    Nslookup,
    ObjectName,
    Patch,
    PgRestore,
    Psql,
    Rollout,
    Scale,
    Top,
    Verb,
    Wait,
    WorkerCommand,
)
from kintsugi.objects.resources import Resource


def render(command: Command) -> str:
    """Write a command as text for a terminal, quoted, with its namespace; `parse` gives the same command back, without uids."""
    if isinstance(command, Create):
        return f"{shlex.join(argv(command))} <<<{shlex.quote(command.manifest)}"
    return shlex.join(argv(command))


def verb_of(command: Command) -> Verb:
    """Give the row of the grammar that a command belongs to. Raises KeyError for one that no line means."""
    match command:
        case Rollout(verb=verb) | Mark(verb=verb):
            return verb
        case Cordon(on=on):
            return Verb.CORDON if on else Verb.UNCORDON
        case _:
            return _VERBS[type(command)]


def argv(command: Command) -> list[str]:
    """Give a command's words; the manifest of what is created is its input, not one of them."""
    if isinstance(command, Create):
        return ["kubectl", "create", *_namespace(command.namespace), "-f", "-"]
    return [*verb_of(command).split(), *_words(command)]


_VERBS: dict[type, Verb] = {
    Get: Verb.GET,
    Describe: Verb.DESCRIBE,
    Delete: Verb.DELETE,
    Scale: Verb.SCALE,
    Logs: Verb.LOGS,
    Top: Verb.TOP,
    Events: Verb.EVENTS,
    Wait: Verb.WAIT,
    Patch: Verb.PATCH,
    CanI: Verb.CAN_I,
    Curl: Verb.CURL,
    Nslookup: Verb.NSLOOKUP,
    NcZ: Verb.NC,
    Exec: Verb.EXEC,
    Psql: Verb.PSQL,
    BackupFetch: Verb.BACKUP_FETCH,
    PgRestore: Verb.PG_RESTORE,
    Dropdb: Verb.DROPDB,
}


def _words(command: Command) -> Iterator[str]:
    match command:
        case Get() | Describe() | Logs() | Top() | Events() | Wait() | CanI():
            yield from _reading(command)
        case Curl() | Nslookup() | NcZ() | Psql():
            yield from _asking(command)
        case Exec():
            yield from [str(command.object), *_namespace(command.namespace), *_option("-c", command.container)]
            yield from ["--", *command.argv]
        case Create():
            raise AssertionError("its words are argv's")
        case BackupFetch() | PgRestore() | Dropdb():
            yield from _restoring(command)
        case _:
            yield from _changing(command)


def _reading(command: Get | Describe | Logs | Top | Events | Wait | CanI) -> Iterator[str]:
    match command:
        case Get():
            yield from _get(command)
        case Describe():
            yield from [*_objects(command.objects), *_kind(command.resource), *_namespace(command.namespace)]
            yield from _option("-l", command.labels)
        case Logs():
            yield from _logs(command)
        case Top():
            yield from [command.resource.plural, *([command.name] if command.name else [])]
            yield from [*_scope(command.namespace, command.resource), *_option("-l", command.labels)]
            yield from _option("--sort-by=", command.sort_by or "")
        case Events():
            yield from _option("--for=", str(command.about) if command.about else "")
            yield from [*_option("--types=", ",".join(command.types)), *(_namespace(command.namespace) or ["-A"])]
        case Wait():
            yield from [*_objects(command.objects), *_kind(command.resource), *_option("-l", command.labels)]
            yield from [f"--for={command.condition}", *_duration("--timeout=", command.timeout)]
            yield from _namespace(command.namespace)
        case CanI():
            target = f"{command.resource.qualified}/{command.name}" if command.name else command.resource.qualified
            yield from [command.verb, target, *_option("--subresource=", command.subresource)]
            yield from _scope(command.namespace, command.resource)


def _get(command: Get) -> Iterator[str]:
    yield from [*_objects(command.objects), *([",".join(command.words)] if command.words else [])]
    yield from _scope(command.namespace, *command.resources, *(each.resource for each in command.objects))
    yield from [*_option("-l", command.labels), *_option("--field-selector=", command.fields)]
    yield from [*_option("--sort-by=", command.sort_by), *_switch("--ignore-not-found", command.ignore_not_found)]


def _logs(command: Logs) -> Iterator[str]:
    yield from [*([str(command.object)] if command.object else []), *_option("-l", command.labels)]
    yield from [*_namespace(command.namespace), *_option("-c", command.container)]
    yield from [*_switch("--all-containers", command.all_containers), *_switch("-p", command.previous)]
    yield from [
        *_switch("-f", command.follow),
        *_duration("--since=", command.since),
        *_number("--tail=", command.tail),
    ]
    yield from [*_switch("--timestamps", command.timestamps), *_switch("--prefix", command.prefix)]


def _changing(command: Delete | Scale | Rollout | Cordon | Patch | Mark) -> Iterator[str]:
    match command:
        case Delete():
            yield from [*_objects(command.objects), *_namespace(command.namespace)]
            yield from _number("--grace-period=", int(command.grace.total_seconds()) if command.grace else None)
        case Scale():
            yield from [*_objects(command.objects), f"--replicas={command.replicas}"]
            yield from [*_number("--current-replicas=", command.current), *_namespace(command.namespace)]
        case Rollout():
            flag = "--to-revision=" if command.verb is Verb.ROLLOUT_UNDO else "--revision="
            about = str(command.object) if command.object.name else command.object.resource.singular
            yield from [about, *_number(flag, command.revision or None)]
            yield from [*_duration("--timeout=", command.timeout), *_namespace(command.namespace)]
        case Cordon():
            yield from (each.name for each in command.objects)
        case Patch():
            yield from [*_objects((command.object,)), f"--type={command.kind}", "-p", command.patch]
            yield from _namespace(command.namespace)
        case Mark():
            yield from _objects(command.objects)
            yield from (f"{key}-" if value is None else f"{key}={value}" for key, value in command.values.items())
            yield from [*_switch("--overwrite", command.overwrite), *_namespace(command.namespace)]


def _asking(command: Curl | Nslookup | NcZ | Psql) -> Iterator[str]:
    match command:
        case Curl():
            yield from _curl(command)
        case Nslookup():
            yield from [command.name, *([command.server] if command.server else [])]
        case NcZ():
            yield from [command.host, str(command.port), *_seconds("-w", command.timeout)]
        case Psql():
            yield from _psql(command)


def _psql(command: Psql) -> Iterator[str]:
    yield from [*_option("-h", command.host), *(["-p", str(command.port)] if command.port else [])]
    yield from [*_option("-U", command.user), *_option("-d", _connection(command)), "-c", command.statement]


def _connection(command: Psql) -> str:
    """Write what `-d` says: the database alone, or with how the connection is made."""
    how = {"sslmode": command.sslmode, "sslrootcert": command.rootcert, "passfile": command.passfile}
    given = [f"{key}={value}" for key, value in how.items() if value]
    given += [f"options=-csearch_path={command.search_path}"] if command.search_path else []
    return (
        " ".join([*([f"dbname={command.database}"] if command.database else []), *given]) if given else command.database
    )


def _restoring(command: WorkerCommand) -> Iterator[str]:
    server = [*_option("-h", command.host), *(["-p", str(command.port)] if command.port else [])]
    server += _option("-U", command.user)
    match command:
        case BackupFetch():
            yield from [command.url, f"--database={command.database}", *_duration("--max-age=", command.max_age)]
            yield from [*server, *_namespace(command.namespace)]
        case PgRestore():
            yield from ["--exit-on-error", "--single-transaction", *server, "-d", command.database, command.file]
        case Dropdb():
            yield from ["--if-exists", *server, command.database]


def _curl(command: Curl) -> Iterator[str]:
    usual = "GET" if command.body is None else "POST"
    if command.method == "HEAD":
        yield "-I"
    elif command.method != usual:
        yield from ["-X", command.method]
    yield from (word for name, value in command.headers for word in ("-H", f"{name}: {value}"))
    yield from [] if command.body is None else ["-d", command.body]
    yield from [*_switch("-k", command.insecure), *_switch("-f", command.fail), *_switch("-L", command.follow)]
    yield from [*_seconds("-m", command.max_time), command.url]


def _objects(objects: tuple[ObjectName, ...]) -> list[str]:
    """Write `TYPE NAME…` for objects of one kind, `TYPE/NAME…` for several."""
    kinds = {each.resource for each in objects}
    if len(kinds) == 1:
        return [kinds.pop().singular, *(each.name for each in objects)]
    return [str(each) for each in objects]


def _kind(resource: Resource | None) -> list[str]:
    return [resource.plural] if resource else []


def _namespace(namespace: str | None) -> list[str]:
    return ["-n", namespace] if namespace else []


def _scope(namespace: str | None, *resources: Resource) -> list[str]:
    everywhere = namespace is None and any(resource.namespaced for resource in resources)
    return ["-A"] if everywhere else _namespace(namespace)


def _option(flag: str, value: str) -> list[str]:
    if not value:
        return []
    return [flag + value] if flag.endswith("=") else [flag, value]


def _switch(flag: str, on: bool) -> list[str]:
    return [flag] if on else []


def _number(flag: str, value: int | None) -> list[str]:
    return [] if value is None else [f"{flag}{value}"]


def _duration(flag: str, value: timedelta | None) -> list[str]:
    return [] if value is None else [flag + format_duration(value)]


def _seconds(flag: str, value: timedelta | None) -> list[str]:
    return [] if value is None else [flag, f"{value.total_seconds():g}"]
