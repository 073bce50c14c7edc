"""Screens that span modules: partner portal, earnings, operator console. Owns no table."""
