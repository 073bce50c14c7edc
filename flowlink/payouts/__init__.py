"""What partners are owed. Owns: commission, reserve lot, payout method, withdrawal."""
