"""
The common parts of clients and servers of the Kubernetes API: kinds of objects, their fields, selectors, quantities.
"""
