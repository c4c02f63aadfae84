"""Signals: deliveries become episodes, each is kept with its verdict; and the dead letters, which could not be read."""
