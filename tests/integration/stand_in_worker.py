"""
A stand-in for the backup worker, run as a process of its own: it answers the same command line with the same lines.

It counts its starts in a folder, and works until the file that allows its end is there.
"""

import json
import sys
import time
from pathlib import Path

BACKUP = {
    "url": "s3://backup-bucket/database/app.dump",
    "file": "/backups/app.dump",
    "key": "database/app.dump",
    "size": 2,
    "taken": "2020-01-01T02:14:07Z",
    "sha256": "ab" * 32,
    "proven": True,
    "database": "app",
    "server_major": 16,
}
RESTORED = {"database": "app", "bytes": 2, "seconds": 1.0, "tables": [{"name": "public.orders", "rows": 1000}]}


def say(**line: object) -> None:
    """Write one line."""
    print(json.dumps(line), flush=True)


def main(folder: Path, work: str) -> int:
    """Do as the worker does."""
    with (folder / f"{work}-starts").open("a") as starts:
        starts.write(" ".join(sys.argv[2:]) + "\n")
    say(note=f"{work} has begun")
    worked = 0
    while not (folder / f"{work}-may-end").exists():
        worked += 1
        say(progress={"phase": "reading", "bytes": worked, "of": 0, "what": work})
        time.sleep(0.1)
    end = (folder / f"{work}-may-end").read_text()
    if end == "in silence":
        return 1
    if end:
        say(failed={"kind": "no-good-backup", "reason": end})
        return 1
    say(**({"backup": BACKUP} if work == "fetch" else {"restored": RESTORED}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[sys.argv.index("kintsugi_restore.worker") + 1]))
