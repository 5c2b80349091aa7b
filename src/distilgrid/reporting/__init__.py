"""Tables, plots, statistics and claims over a grid's finished results."""
