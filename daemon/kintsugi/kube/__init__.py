"""The only speaker of the Kubernetes API: authentication, requests, and reflectors that mirror objects in memory."""
