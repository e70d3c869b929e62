"""The running node: sessions, dispatch, admin HTTP, metrics, configuration."""
