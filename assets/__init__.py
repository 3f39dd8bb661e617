"""The Dagster assets, one package or module per layer. Assets meet at asset keys and never import each other."""
