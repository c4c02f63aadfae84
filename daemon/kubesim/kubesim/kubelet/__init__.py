"""The kubelet: containers and their states, logs, and the status of pods."""
