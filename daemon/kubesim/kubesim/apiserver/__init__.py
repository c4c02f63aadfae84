"""The API server: requests, answers, and the rights of callers."""
