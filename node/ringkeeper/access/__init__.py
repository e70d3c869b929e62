"""Who may do what: users, their rules, and what these say of a command. Pure; `server/access.py` puts it into force."""
