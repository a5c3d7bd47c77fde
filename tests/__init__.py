"""The tests, file by file as in `lib`."""

PATIENCE = 900
"""Seconds until something that never comes fails a test: all waits are for conditions, and a busy
machine fails none of them."""
