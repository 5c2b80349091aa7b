"""Tables and plots of architecture searches."""
