"""The operator: one `decide` for Kubernetes and for a laptop. Reading order: ARCHITECTURE.md."""
