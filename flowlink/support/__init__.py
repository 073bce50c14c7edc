"""Where people ask. Owns: ticket, message, note, article."""
