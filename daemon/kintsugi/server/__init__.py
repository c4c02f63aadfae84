"""The HTTP port: Alertmanager's webhook, health, metrics, and the API for people."""
