"""How HTTP looks: routing, schemas, problems, permissions, limits, the API document. Imports kernel and runtime."""
