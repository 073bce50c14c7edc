"""A fake bank for development and tests: it moves no money. It takes a `pain.001.001.09` as a bank
of the SEPA scheme does and answers in files: a `pain.002` for what became of the orders, and a
`camt.053` for each day on which something was booked.

It checks each order as the scheme's rulebook asks (EPC 125-05, EPC 132-08, EPC 217-08) and refuses
a message that it knows already. What becomes of an order stands in its receiver's name, as in
"Ada Rejected", "Ada Returned" or "Ada Waiting"; without such a word it is booked on its day.
"""
