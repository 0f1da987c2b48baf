"""Hold the job table and its operations, by caller."""
