"""Stories across modules, told from outside."""
