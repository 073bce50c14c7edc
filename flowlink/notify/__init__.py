"""Messages that leave the house. Owns: mail. Promise: a mail is queued in the transaction that causes it, sent once."""
