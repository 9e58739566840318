"""Results as objects for other systems: what they need of scans, and how many are made at a time."""
