"""The API server: how requests are read and answered, and who may ask for what."""
