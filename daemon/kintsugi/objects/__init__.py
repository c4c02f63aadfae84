"""The Kubernetes objects that Kintsugi knows: which of their fields are kept, and pure facts on them."""
