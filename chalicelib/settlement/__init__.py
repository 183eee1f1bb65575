"""Settlement: statements per shop, by which what was earned becomes what a merchant can withdraw."""
