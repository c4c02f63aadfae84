"""Restores of PostgreSQL databases from backups in S3: which backup is good, the client of S3, and the worker."""
