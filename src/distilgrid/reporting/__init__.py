"""Results of a grid side by side: tables, plots and one page that opens offline."""
