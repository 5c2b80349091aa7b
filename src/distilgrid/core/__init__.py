"""What knows neither machine learning nor grids."""
