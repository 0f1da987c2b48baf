"""Everything that writes. Each action is one transaction that also holds its line of the audit trail."""
