"""Finding a shop near a person: filters, order, facets and pages over the catalogue of a city."""
