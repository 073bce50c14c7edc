"""What visitors did and what networks say of it: link, click, network, offer, postback, conversion.

Promises: an answered click is a stored click; a postback is stored before it is understood; a
conversion is never changed without a revision that says so.

| conversion | pending | approved | rejected | reversed |
|---|---|---|---|---|
| (none) | pending | approved | rejected | reversed |
| pending | amount may change | approved | rejected | reversed |
| approved | late: duplicate | amount may change | reversed | reversed |
| rejected | late: duplicate | approved | duplicate | reversed |
| reversed | final: duplicate | final: duplicate | duplicate | duplicate |
"""
