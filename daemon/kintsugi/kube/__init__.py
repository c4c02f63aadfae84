"""The client of the Kubernetes API: authentication, requests, and reflectors that cache objects. Only this package uses it."""
