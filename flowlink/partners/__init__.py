"""Those who share links and earn. Owns: partner, terms accepted, handle."""
