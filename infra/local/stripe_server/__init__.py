"""A small local server that speaks the part of Stripe's API this product uses, and refuses what Stripe refuses."""
