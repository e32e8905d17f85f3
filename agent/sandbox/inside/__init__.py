"""What runs inside the box: standard library alone, started without this project's packages."""
