"""Architecture search: spaces, controllers, estimators and latencies of candidates."""
