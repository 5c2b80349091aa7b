"""The command line: stage commands from the stage table, and the commands around a grid."""
