"""
The root of what kubesim raises: catch it to catch all of it.
"""


class KubesimError(Exception):
    """The embedded cluster was asked for something that it has not, or one of its parts failed."""
