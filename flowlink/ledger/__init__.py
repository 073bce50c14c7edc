"""Where money is. Owns: account, entry, transfer, balance. Promise: entries balance, never change, and are posted once."""
