job "a-${var.x}" {}
