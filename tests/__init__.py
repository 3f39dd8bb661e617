"""The tests: a package, because a dependency installs another one of this name."""
