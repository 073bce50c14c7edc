"""A fake Stripe for development and tests: it charges nobody. Speaks the wire protocol of what we
use: customers, Checkout sessions with a page to pay on, payment intents, refunds, disputes, events
and signed webhooks, with bearer keys, `Idempotency-Key` and Stripe's error objects.

It keeps its state in memory, holds each request against the types of the official client and
refuses every field that these do not know, and misbehaves on demand (`knobs.Knobs`): duplicate,
delayed, lost and reordered webhooks, errors, nonsense, slow answers, and calls that are carried
out but never answered.

Cards by their last digits: 4242 pays; 0002 and 9995 are declined; 3155 asks for a second step once;
3184 asks for it each time, so it fails while the customer is away; 0341 pays on the page and is
declined later (at Stripe it fails on the page too); 0259 pays and is disputed.
"""
