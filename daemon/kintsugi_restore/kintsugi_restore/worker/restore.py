"""
Restores a dump into a fresh database: whole, verified, and only then under its name.

In order: the server is judged, the lock taken, a target that is not empty refused, the file verified, the database
taken and hidden, missing roles created; then `pg_restore` in one transaction, as an owner without further rights, what
was restored given to whom it belongs, the rows counted, the name given. What fails before the transaction's end leaves
the server as it was.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from kintsugi.model.restores import DRILL, Restored, Table
from kintsugi_restore.worker import extensions, owner, ownership, roles
from kintsugi_restore.worker.contents import analyse, count
from kintsugi_restore.worker.database import database_of
from kintsugi_restore.worker.dump import Dump, changed
from kintsugi_restore.worker.dump_ownership import DumpOwnership, dump_ownership_of
from kintsugi_restore.worker.lock import lock, maintenance
from kintsugi_restore.worker.log_writer import Reporter, WorkFailed
from kintsugi_restore.worker.options import DatabaseRole, RestoreOptions
from kintsugi_restore.worker.pg_restore import DumpSource, RestoreProgress, pg_restore
from kintsugi_restore.worker.server import DatabaseServer
from kintsugi_restore.worker.target import OwnershipComment, RestoreTarget, TargetDatabase
from kintsugi_restore.worker_log import Note
from kintsugi_restore.worker_results import WorkFailure, WorkPhase, owner_of

# Kubernetes gives a pod 30 s between SIGTERM and SIGKILL.
_CLEAR_WITHIN = 20.0
_NEVER = ("template0", "template1")


async def restore(options: RestoreOptions, report: Reporter) -> Restored:
    """Restore the file. Raises WorkFailed with the reason; nothing else on the server was touched then."""
    begun = time.monotonic()
    _refuse_names(options)
    server = DatabaseServer(options.server)
    with Dump.opened(options.file) as dump:
        async with server.session(maintenance(options.database)) as session:
            await server.check(session)
            await lock(session, options.database, report)
            target = TargetDatabase(server, session, options.database)
            await target.refuse_full()
            sha256 = await _verify(dump, options.sha256, report)
            source_database, dump_ownership = await database_of(dump), await dump_ownership_of(dump)
            await ownership.refuse_missing(session, dump_ownership, [role.name for role in options.roles], server.where)
            new = await roles.missing(session, (*options.roles, DatabaseRole(name=owner_of(options.database))))
            taken = await target.claim(_mark(options, sha256, [role.name for role in new]), source_database)
            declared = [role for role in new if role in options.roles]
            context = _RestoreContext(
                server=server, session=session, taken=taken, dump_ownership=dump_ownership, new=declared, report=report
            )
            await _fill(context, dump, options)
            tables = await _count_and_analyse(server, taken, report)
            await target.rename_into_place(taken, source_database, report)
        return Restored(
            database=options.database, bytes=dump.size, seconds=round(time.monotonic() - begun, 3), tables=tables
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _RestoreContext:
    """The context of filling a taken database; `new` are the declared roles that are missing."""

    server: DatabaseServer
    session: asyncpg.Connection
    taken: RestoreTarget
    dump_ownership: DumpOwnership
    new: Sequence[DatabaseRole]
    report: Reporter


async def _fill(context: _RestoreContext, dump: Dump, options: RestoreOptions) -> None:
    """Restore the dump as the owner, and give what was restored to whom it belongs; what was restored before stays."""
    server, session, taken = context.server, context.session, context.taken
    if taken.whole:
        context.report(Note(text="an earlier worker had restored this very file: only its last step was missing"))
        await owner.make(session, server, taken.database)
    else:
        async with _rollback_on_failure(server, session, taken, context.report):
            await owner.make(session, server, taken.database)
            await roles.create(session, context.new, taken.database, login=not options.scratch)
            await _load_dump(context, dump)
    if not options.scratch:
        await ownership.settle(server, taken.hidden, taken.database, context.dump_ownership, context.report)
    if context.dump_ownership.left_out:
        left_out = ", ".join(context.dump_ownership.left_out)
        context.report(Note(text=f"left out, because only a superuser may make it: {left_out}"))


async def _load_dump(context: _RestoreContext, dump: Dump) -> None:
    """Make what only a superuser can make in the empty database, then run the dump as its owner."""
    server, taken, dump_ownership = context.server, context.taken, context.dump_ownership
    us = owner_of(taken.database)
    await extensions.make(server, taken.hidden, us, dump_ownership.extensions)
    await TargetDatabase(server, context.session, taken.database).give_to_owner(taken)
    await owner.check(server, taken.database, taken.hidden)
    source = DumpSource(dump=dump, sha256=taken.mark.sha256, listed=dump_ownership.listed)
    await pg_restore(source, owner.as_owner(server, taken.database), taken.hidden, context.report)


def _refuse_names(options: RestoreOptions) -> None:
    """Hold restores and drills apart by the name of their database."""
    if options.scratch and not options.database.startswith(DRILL):
        raise WorkFailed(WorkFailure.REFUSED, f"a scratch database is called {DRILL}…, not {options.database}")
    if options.database in _NEVER or (options.database.startswith(DRILL) and not options.scratch):
        raise WorkFailed(WorkFailure.REFUSED, f"a backup is not restored into {options.database}")


def _mark(options: RestoreOptions, sha256: str, new: list[str]) -> OwnershipComment:
    return OwnershipComment(sha256=sha256, roles=tuple(new), drill=options.name if options.scratch else None)


async def _verify(dump: Dump, wanted: str | None, report: Reporter) -> str:
    """Sum the file up and compare; give its sum."""
    progress, stop = RestoreProgress(WorkPhase.VERIFYING, dump, report), threading.Event()
    reporting = asyncio.ensure_future(progress.until_cancelled())
    try:
        found = await asyncio.to_thread(dump.sha256, progress.done, stop)
    finally:
        stop.set()
        reporting.cancel()
    progress.report()
    if wanted is not None and found != wanted.lower():
        raise changed(dump.path, found, wanted)
    return found


@asynccontextmanager
async def _rollback_on_failure(
    server: DatabaseServer, session: asyncpg.Connection, taken: RestoreTarget, report: Reporter
) -> AsyncIterator[None]:
    """
    Leave the server as it was when the block fails or is cancelled; the reason stays the block's own.

    A server that is gone comes back with the transaction undone; what is left of ours then is an empty hidden database.
    """
    try:
        yield
    # Whatever ends the block, a cancellation too, is cleared up after and goes on.
    except BaseException:
        try:
            async with asyncio.timeout(_CLEAR_WITHIN):
                await _give_back(server, session, taken)
        # What fails here is contained: the block's own reason is what people need, and the next worker clears up.
        except Exception as error:  # noqa: BLE001
            why = str(error) or f"no answer within {_CLEAR_WITHIN:g} s"
            report(Note(text=f"{taken.hidden} was left on {server.where}, and the next restore takes it up: {why}"))
        raise


async def _give_back(server: DatabaseServer, session: asyncpg.Connection, taken: RestoreTarget) -> None:
    if not session.is_closed():
        await TargetDatabase(server, session, taken.database).restore_owner(taken)
        await roles.drop(session, taken.mark.roles, taken.database)
        return
    # The server ended our session, and with it the lock; it may be another worker's by now.
    async with server.session(maintenance(taken.database)) as again:
        await lock(again, taken.database, lambda _: None)
        await TargetDatabase(server, again, taken.database).restore_owner(taken)
        await roles.drop(again, taken.mark.roles, taken.database)


async def _count_and_analyse(server: DatabaseServer, taken: RestoreTarget, report: Reporter) -> tuple[Table, ...]:
    async with owner.as_owner(server, taken.database).session(taken.hidden) as session:
        tables = await count(session, report)
        await analyse(session, report)
    return tables
