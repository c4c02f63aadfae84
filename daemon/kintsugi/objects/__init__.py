"""The Kubernetes objects that Kintsugi knows: their kept fields, and pure facts about them."""
