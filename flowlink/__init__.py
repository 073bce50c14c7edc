"""flowlink: a partner platform and a small PaaS over one double-entry ledger."""
