"""How the models of neighbours become one: committees, mixing, rules and the round. Pure: no clock, no network."""
