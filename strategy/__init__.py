"""Insight: overlays, strategies, rules, macro and AI (comes with its issue)."""
