"""The Kubernetes objects that Kintsugi knows: which kinds exist, which of their fields are kept, and pure facts on them."""
