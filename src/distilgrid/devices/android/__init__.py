"""Experimental: latency on an Android phone over adb. Dry runs are tested; nobody has run it on a real phone."""
