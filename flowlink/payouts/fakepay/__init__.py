"""A fake PayPal for development and tests: it pays nobody. Speaks the wire protocol of what we use:
token, payouts (`payments_payouts_batch_v1` 1.9), `verify-webhook-signature`, and signed webhooks.

It keeps its state in memory, checks each request field by field, refuses what PayPal's
documentation does not know, and misbehaves on demand (`Accidents`): duplicate, delayed, lost and
reordered webhooks, 5xx answers, and calls that are accepted but never answered.

What becomes of an item stands in its receiver's address, as in `unclaimed@example.org` or
`ada+failed@example.org`; without such a word it succeeds.
"""
