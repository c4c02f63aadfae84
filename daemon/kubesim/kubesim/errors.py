"""The base of kubesim's exceptions."""


class KubesimError(Exception):
    """The embedded cluster was asked for something that it has not, or one of its parts failed."""
