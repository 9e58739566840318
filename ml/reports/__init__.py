"""Writers: what `ml.evaluation` found, as CSV, JSON, HTML, PDF and pictures."""
