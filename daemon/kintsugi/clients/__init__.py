"""The clients of all other protocols than the Kubernetes API: HTTP, DNS, TCP, PostgreSQL, S3."""
