"""What the service costs, beside what a user would otherwise run, in one run: read ratios, not seconds."""
