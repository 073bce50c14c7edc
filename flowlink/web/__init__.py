"""How pages and answers are made: rendering, forms, sessions, errors, paging, macros."""
