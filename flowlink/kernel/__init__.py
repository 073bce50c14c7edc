"""What every module stands on, and nothing of the business: database, money, ids, clock, jobs."""
