"""Kintsugi mends a Kubernetes cluster with the runbooks that its people already have."""

__version__ = "0.1.0"
