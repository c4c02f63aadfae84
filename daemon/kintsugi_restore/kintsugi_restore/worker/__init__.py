"""
The backup worker: it fetches a backup from S3, restores it into a fresh database, and drops a drill's.

It runs in a Job of its own, without any right in the cluster, and knows nothing of it: its task is on its command line,
passwords come from the environment, and it answers by JSON lines on its log (`kintsugi_restore.worker_log`).
"""

PG_MAJOR = 16
"""The major version of PostgreSQL whose client programs the image carries; a server of another one is refused."""
