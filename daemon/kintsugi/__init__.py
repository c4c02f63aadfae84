"""Kintsugi repairs services in a Kubernetes cluster with runbooks."""

__version__ = "0.1.0"
