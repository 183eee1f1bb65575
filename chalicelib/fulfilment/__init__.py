"""The service itself: check-in, start, finish, no-show."""
