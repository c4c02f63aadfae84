"""Where signals come from: Alertmanager's webhook and API, and the cluster's own watch."""
