"""What makes wishes true: takes queued builds, runs builders, keeps disk and rows in step."""
