"""Excel for analysts, behind the one package that knows how; imported only where it is asked for."""
