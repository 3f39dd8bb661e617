"""Everything that talks to the outside: settings, processes, Spark, the lake, files, the registry."""
