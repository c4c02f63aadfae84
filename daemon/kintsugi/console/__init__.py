"""The pages of the daemon for people with a browser."""
