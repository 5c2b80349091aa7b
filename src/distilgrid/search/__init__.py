"""Architecture search: spaces, controllers, estimators, latency of candidates."""
