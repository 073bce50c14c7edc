"""Screens that span modules: front door, partner portal, earnings and trails, operator console.

Owns no table. It reads every module below and changes something only through that module's service.
Each file of reads serves one screen or a few like it and returns one frozen dataclass a screen.
"""
