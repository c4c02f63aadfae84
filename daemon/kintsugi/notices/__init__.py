"""Outgoing notices: the outbox's worker, and each way in which people are told. `notifier` is the worker."""
