"""The exchange_calendars package as a source of sessions."""
