"""Offline learners, one file each: pure losses with their equation, and a generator that yields Steps."""
