"""From a grid's results to a model that ships: which one to take, its folder, and how to call it."""
