"""The kubelet: containers and their states, logs, and what a pod says of itself."""
