"""The schema's versions, run by alembic from inside the daemon: there is no command to forget."""
