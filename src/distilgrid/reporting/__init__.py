"""The library of reports: results collected, lines, differences, tables and plots. Pages are made by stages/report."""
