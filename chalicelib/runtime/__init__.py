"""How code meets AWS: settings, context, entries, tables, outbox, logs. Imports kernel only."""
