"""Who people are: accounts, one-time codes, sessions, staff memberships, and what a person keeps with us."""
