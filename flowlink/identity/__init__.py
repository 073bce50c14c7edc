"""Who somebody is. Owns: user, magic link, session, API key, staff role.

Promise: secrets are stored as digests; what is revoked ends at once.
"""
