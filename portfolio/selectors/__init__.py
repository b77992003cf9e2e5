"""Reads of figures, for the API and the pages alike."""
