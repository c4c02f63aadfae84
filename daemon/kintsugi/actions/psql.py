"""
`psql -c`: one question to a database, in a container or directly, with the same answer either way.

The server itself makes JSON of the rows (`row_to_json`), so that a value has one type on either way. Each name in our
queries has its schema: the database's owner could define a function or an operator that fits better than the server's
own.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from kintsugi.actions.pods import ContainerExec, ContainerRef, running
from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.clients.postgres import (
    READ_ONLY,
    USUAL_PORT,
    PostgresClient,
    PostgresServer,
    error_hint,
    session_settings,
)
from kintsugi.commands.sql import shown_setting
from kintsugi.errors import KubeError, NotFound, ProbeFailed
from kintsugi.json_limits import DEEPEST_ANSWER, MOST_IN_ANSWER, has_more, is_too_deep
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName, Psql
from kintsugi.model.services import SecretRef
from kintsugi.offload import searched
from kintsugi.telemetry import SECRETS
from kubeobjects import unstructured
from kubeobjects.lines import quoted
from kubeobjects.resources import SECRETS as KIND
from kubeobjects.unstructured import Unstructured


async def value_of(kube: KubeClient, reference: SecretRef, namespace: str) -> str:
    """Return the value. Raises NotFound when the Secret or its key is missing, KubeError when it cannot be read."""
    secret = await kube.get(KIND, reference.secret, namespace)
    encoded = unstructured.nested_string(secret, "data", reference.key)
    if not encoded:
        raise NotFound(f"secret/{reference.secret} in {namespace} has no key {reference.key!r}", status=404)
    try:
        value = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise KubeError(f"the key {reference.key!r} of secret/{reference.secret} is not text") from error
    SECRETS.register(value)
    return value


MOST_ROWS = 1000
"""A longer answer counts as none: an expression that counts its rows would be wrong. Let the database count."""

PASSWORD = "PGPASSWORD"  # noqa: S105  the name of the variable
IN_RECOVERY = "SELECT pg_catalog.pg_is_in_recovery() AS standby"

_QUESTION = """\
SELECT coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(answer)), '[]'::pg_catalog.json)::pg_catalog.text
FROM (SELECT * FROM (
{statement}
) AS asked LIMIT {most}) AS answer"""
_LEAST_CONNECT_TIMEOUT = 2
_LARGEST_INTEGER = 2**63


async def directly(
    kube: KubeClient, client: PostgresClient, command: Psql, probe_context: ProbeContext, within: timedelta
) -> Result:
    """Ask the server over the network. Raises ProbeFailed when there is no answer, Refused for its address."""
    given = probe_context.env.get(PASSWORD)
    password = await value_of(kube, given, probe_context.namespace) if given and not command.passfile else ""
    server = PostgresServer(
        host=command.host,
        port=command.port or USUAL_PORT,
        user=command.user,
        database=command.database,
        sslmode=command.sslmode,
        rootcert=command.rootcert,
        passfile=command.passfile,
        password=password,
        search_path=command.search_path,
    )
    text = await client.ask(question(command.statement), server, within=within)
    return answer(text, f"{server.host}:{server.port}")


async def inside(containers: ContainerExec, container: ContainerRef, command: Psql, within: timedelta) -> Result:
    """Ask through the `psql` in a container. Raises ProbeFailed with its own words when it fails."""
    executed = await containers.run(container, words(command, within), within=within)
    if executed.exit_code != 0:
        stderr = executed.stderr.decode(errors="replace").strip()
        said = await searched(len(stderr), lambda: SECRETS.text(stderr))
        reason = quoted(said) if said else f"psql exited {executed.exit_code}"
        raise ProbeFailed(f"{container}: {reason}{error_hint(said, command.search_path)}")
    if executed.truncated:
        raise ProbeFailed(f"{container}: the answer is longer than 1 MiB: ask for less")
    return answer(executed.stdout.decode(errors="replace"), str(container))


async def primary(
    containers: ContainerExec,
    pods: Sequence[Unstructured],
    asked: tuple[ObjectName, str],
    command: Psql,
    within: timedelta,
) -> ContainerRef:
    """
    Find the pod that is the primary, by asking each one.

    `asked` is the workload with the container that was named. Raises ProbeFailed when none says so, or several do.
    """
    workload, name = asked

    async def status(pod: Unstructured) -> tuple[ContainerRef | None, str]:
        try:
            container = running(pod, name)
            result = await inside(containers, container, replace(command, statement=IN_RECOVERY), within)
        except ProbeFailed as error:
            return None, str(error)
        is_standby = result.names.get("value") is not False
        return (None, f"{container} is a standby") if is_standby else (container, "")

    found = await asyncio.gather(*map(status, pods))
    primaries = [container for container, _ in found if container is not None]
    if len(primaries) == 1:
        return primaries[0]
    if primaries:
        raise ProbeFailed(f"{workload} has more than one primary: {', '.join(map(str, primaries))}")
    why = "; ".join(reason for _, reason in found) or "it has no pods"
    raise ProbeFailed(f"{workload} has no primary that answers: {why}")


def question(statement: str) -> str:
    """Wrap a statement, so that the server answers with one JSON array of its rows."""
    if setting := shown_setting(statement):
        statement = f"SELECT pg_catalog.current_setting('{setting}') AS \"{setting}\""
    return _QUESTION.format(statement=statement, most=MOST_ROWS + 1)


def words(command: Psql, within: timedelta) -> tuple[str, ...]:
    """Write the `psql` that is run in a container: silent, read-only, and over in time."""
    held = session_settings(within * 0.8, command.search_path)
    options = " ".join(f"-c {key}={value}" for key, value in held.items())
    connection = {
        "host": command.host,
        "port": str(command.port or ""),
        "user": command.user,
        "dbname": command.database,
        "sslmode": command.sslmode,
        "sslrootcert": command.rootcert,
        "passfile": command.passfile,
        "connect_timeout": str(max(_LEAST_CONNECT_TIMEOUT, int(within.total_seconds() / 2))),
        "client_encoding": "UTF8",
        "options": options,
    }
    given = " ".join(f"{key}='{value}'" for key, value in connection.items() if value)
    asked = ("-c", READ_ONLY, "-c", question(command.statement))
    return ("psql", "-XqAtw", "-v", "ON_ERROR_STOP=1", "-d", given, *asked)


def answer(text: str, where: str) -> Result:
    """
    Read the server's JSON: `rows`, and `value`, the first column of the first one.

    Raises ProbeFailed when it is no list of rows: what runs in a container as `psql` may print anything.
    """
    if is_too_deep(text.encode(errors="replace"), DEEPEST_ANSWER):
        raise ProbeFailed(f"{where}: the answer is nested deeper than {DEEPEST_ANSWER} levels: {text[:200]!r}")
    try:
        rows = json.loads(text, object_pairs_hook=_first_wins, parse_int=_integer)
    except ValueError as error:
        raise ProbeFailed(f"{where}: the answer cannot be read: {text[:200]!r}") from error
    if wrong := _wrong(rows, text):
        raise ProbeFailed(f"{where}: the answer {wrong}")
    names: dict[str, object] = {"rows": rows}
    if rows and rows[0]:
        names["value"] = next(iter(rows[0].values()))
    return Result(names=names, summary=f"{where}: {len(rows)} row{'' if len(rows) == 1 else 's'}")


def _wrong(rows: object, text: str) -> str:
    """Return the reason for which an answer is invalid, "" for a valid one."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return f"is not a list of rows: {text[:200]!r}"
    if len(rows) > MOST_ROWS:
        return f"has more than {MOST_ROWS} rows: let the database count"
    if has_more(text.encode(errors="replace"), rows, MOST_IN_ANSWER):
        return f"has more than {MOST_IN_ANSWER:,} entries: ask for fewer columns, or less of a JSON column"
    return ""


def _first_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a row; of two columns of one name the first is used, as for `value`."""
    row: dict[str, object] = {}
    for name, value in pairs:
        row.setdefault(name, value)
    return row


def _integer(text: str) -> int | float:
    number = int(text)
    return number if -_LARGEST_INTEGER <= number < _LARGEST_INTEGER else float(text)
