"""Copies: exports, sealed snapshots, storage and restore (comes with its issue)."""
