"""The sources of signals: Alertmanager's webhook and API, and the watch of the cluster."""
