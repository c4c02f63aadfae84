"""
`python -m kintsugi_restore.worker`: executes one task and reports its end.

Exit code 0 when it is done, 1 when it is not and the last line says why, 2 when the command line is wrong. On SIGTERM
and SIGINT the work stops, cleans up and reports that it was interrupted; a worker that is killed reports nothing. A
drill's worker writes its last line and stays (`--hold`): the checks ask the restored database, on a server that ends
with the worker.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from kintsugi.errors import KintsugiError
from kintsugi.model.restores import Restored
from kintsugi_restore.worker.fetch import fetch
from kintsugi_restore.worker.log_writer import LogWriter, Reporter, WorkFailed
from kintsugi_restore.worker.options import FetchOptions, Options, RestoreOptions, read
from kintsugi_restore.worker.restore import restore
from kintsugi_restore.worker_results import Failed, LastLine, WorkFailure

_STOPPING = (signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; give the exit code."""
    options = read(arguments, os.environ)
    lines = LogWriter()
    last = asyncio.run(_answered(options, lines.report))
    holds = isinstance(options, RestoreOptions) and options.hold and isinstance(last, Restored)
    if holds:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    lines.report(last)
    if holds:
        signal.sigwait(_STOPPING)
    return 1 if isinstance(last, Failed) else 0


async def _answered(options: Options, report: Reporter) -> LastLine:
    """Work until it is done, fails, or is asked to stop; whatever happens has a last line."""
    work = asyncio.create_task(_work(options, report))
    for number in _STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, _stop, work)
    try:
        return await work
    except asyncio.CancelledError:
        return Failed(kind=WorkFailure.INTERRUPTED, reason="the worker was asked to stop before it had finished")
    except WorkFailed as failed:
        return Failed(kind=failed.kind, reason=str(failed))
    except KintsugiError as error:
        return Failed(kind=WorkFailure.FAILED, reason=str(error))
    # A mistake of the worker's own is contained here: the daemon reads the log's last line, and a traceback is none.
    except Exception as error:  # noqa: BLE001
        return Failed(kind=WorkFailure.FAILED, reason=f"the worker itself failed: {type(error).__name__}: {error}")


def _stop(work: asyncio.Task[LastLine]) -> None:
    """Cancel the work once: asked again, it goes on cleaning up."""
    if not work.cancelling():
        work.cancel()


async def _work(options: Options, report: Reporter) -> LastLine:
    if isinstance(options, FetchOptions):
        return await fetch(options, report)
    return await restore(options, report)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
