"""Attacks on everything that the project reads, writes and is told; see attack.py."""
