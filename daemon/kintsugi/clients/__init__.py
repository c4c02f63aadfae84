"""The only speakers of what is not the Kubernetes API: HTTP, DNS, TCP, PostgreSQL, S3. They look and never change anything."""
