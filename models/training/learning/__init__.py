"""How a network learns: recipes, objective, stages, epochs."""
