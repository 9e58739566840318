"""Who may come in and what they did: users, sessions, API tokens, the audit log. It knows no feature."""
